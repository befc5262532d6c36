"""The summary page."""

from latentsync_core.data_preparation.audit import audit, audit_lines
from latentsync_core.data_preparation.summary_page import write_summary
from latentsync_core.data_preparation.tally import ALIGN, ClipRow, add_up, passed, stopped


def clip(name: str, identity: str, split: str = "train", language: str = "", **more) -> ClipRow:
    return ClipRow(name, f"{name}.mp4", identity, split, "real", language, state="kept", seconds=360.0, **more)


def test_the_audit_counts_hours_people_languages_splits_and_offsets():
    rows = [
        clip("a", "ann", language="de", sync_offset=0, sync_measure="m"),
        clip("b", "ann", language="de", sync_offset=2, sync_measure="m"),
        clip("c", "bob", "val", sync_offset=0, sync_measure="m"),
        ClipRow("d", "d.mp4", "eve", "train", "real", "fr", sync_offset=9),
    ]
    found = audit(rows, videos=3, raw_seconds=7200)
    assert (found.videos, found.raw_hours, found.clips, found.people) == (3, 2.0, 3, 2)
    assert found.languages == {"de": 0.2, "not given": 0.1}
    assert (found.splits["train"].people, found.splits["val"].clips) == (1, 1)
    assert found.offsets == {0: 2, 2: 1}
    assert ("offsets", "median +0 frames, 67% within one frame (3 clips, by m)") in audit_lines(found)


def test_names_in_the_page_are_text_not_markup():
    bad = ClipRow("<script>alert(1)</script>", "x", "x", "train", "real", "<b>", reason="<i>")
    page = write_summary([bad], add_up([passed(ALIGN), stopped(ALIGN, "<u>")]), audit([bad], 1, 1.0))
    for markup in ("<script>", "<b>", "<i>", "<u>"):
        assert markup not in page
    assert page.count("<img") == 1
