"""Which clips are judged, and in which pairs."""

from latentsync_core.evaluation.held_out_study import choose_pairs, list_held_out


def test_only_real_clips_of_the_split_are_judged(tmp_path):
    (tmp_path / "manifest.csv").write_text(
        "clip,split,kind\nclips/a.mp4,val,real\nclips/b.mp4,val,generated\nclips/c.mp4,train,real\nclips/d.mp4,val,real\n"
    )
    assert list_held_out(tmp_path) == [tmp_path / "clips/a.mp4", tmp_path / "clips/d.mp4"]


def test_no_clip_drives_itself_and_no_pair_comes_twice(tmp_path):
    clips = [tmp_path / f"{number}.mp4" for number in range(12)]
    pairs = choose_pairs(clips, 30)
    assert len(pairs) == len(set(pairs)) == 30
    assert all(video != driver for video, driver in pairs)
