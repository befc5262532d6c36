"""Which videos, who is in them, who is held out."""

import pytest

from latentsync_core.data_preparation.raw_videos import list_raw_videos, split_of
from latentsync_core.errors import UnreadableMedia


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_a_person_is_a_sub_folder_or_else_a_file(tmp_path):
    touch(tmp_path, "ann/2019/a.mp4", "ann/b.MOV", "bob.mkv", "notes.txt")
    videos = list_raw_videos(tmp_path, 0.1)
    assert [(video.name, video.identity) for video in videos] == [
        ("ann__2019__a", "ann"),
        ("ann__b", "ann"),
        ("bob", "bob"),
    ]


def test_names_are_safe_and_never_meet(tmp_path):
    touch(tmp_path, "a b/x.mp4", "a_b/x.mp4", "ä.mp4", "x.mp4", "x.mkv", "..x.mp4", "summary.html.mp4")
    names = [video.name for video in list_raw_videos(tmp_path, 0.1)]
    assert len({name.lower() for name in names}) == 7
    assert "summary.html" not in names
    assert all(name.isascii() and "/" not in name and " " not in name and name[0] != "." for name in names)


def test_a_split_depends_on_the_person_only_and_holds_out_about_the_share_asked_for():
    people = [f"person {number}" for number in range(2000)]
    held_out = {person for person in people if split_of(person, 0.1) == "val"}
    assert 150 < len(held_out) < 250
    assert held_out <= {person for person in people if split_of(person, 0.2) == "val"}


def test_a_manifest_says_who_and_where_and_what_it_leaves_open_is_filled_in(tmp_path):
    (tmp_path / "manifest.csv").write_text(
        "clip,identity,split,kind,language,license\nclips/a.mp4,ann,val,generated,de,MIT\nclips/bob.mp4,,,,,\n"
    )
    first, second = list_raw_videos(tmp_path, 0.0)
    assert (first.name, first.identity, first.split, first.kind, first.language) == (
        "a",
        "ann",
        "val",
        "generated",
        "de",
    )
    assert first.notes["license"] == "MIT"
    assert (second.identity, second.split, second.kind) == ("clips", "train", "real")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,identity\na.mp4,ann\n", "no column `clip`"),
        ("clip,identity,split\na.mp4,ann,train\nb.mp4,ann,val\n", "ann is in split train and in val"),
        ("clip\n../a.mp4\n", "outside"),
        ("clip\n/etc/passwd\n", "outside"),
        ("clip\na.mp4\n./a.mp4\n", "lists a.mp4 more than once"),
        ("clip,identity\n,ann\n", "row 2: `clip` is empty"),
        ("clip,identity\n", "holds no videos"),
        ("clip\n\udcff\n", "UTF-8"),
    ],
)
def test_a_wrong_manifest_is_refused_by_name(tmp_path, text, message):
    (tmp_path / "manifest.csv").write_text(text, errors="surrogateescape")
    with pytest.raises(UnreadableMedia, match=message):
        list_raw_videos(tmp_path, 0.1)


def test_an_empty_or_missing_folder_is_refused(tmp_path):
    with pytest.raises(UnreadableMedia, match="holds no videos"):
        list_raw_videos(tmp_path, 0.1)
    with pytest.raises(UnreadableMedia, match="not a folder"):
        list_raw_videos(tmp_path / "missing", 0.1)
