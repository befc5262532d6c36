"""Which clips are judged, and in which pairs."""

from latentsync_core.evaluation.clip_list import HeldOutClip, choose_pairs, list_held_out


def test_only_real_clips_of_the_split_are_judged(tmp_path):
    (tmp_path / "manifest.csv").write_text(
        "clip,identity,split,kind\na.mp4,ann,val,real\nb.mp4,bob,val,generated\nc.mp4,cy,train,real\nd.mp4,dee,val,real\n"
    )
    assert list_held_out(tmp_path) == [HeldOutClip(tmp_path / "a.mp4", "ann"), HeldOutClip(tmp_path / "d.mp4", "dee")]


def test_nobody_drives_themselves_and_no_pair_comes_twice(tmp_path):
    identities = "aabcdefghijk"
    clips = [HeldOutClip(tmp_path / f"{number}.mp4", name) for number, name in enumerate(identities)]
    owner = {clip.path: clip.identity for clip in clips}
    pairs = choose_pairs(clips, 30)
    assert len(pairs) == len(set(pairs)) == 30
    assert all(owner[video] != owner[driver] for video, driver in pairs)
