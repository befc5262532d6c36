"""Benchmark definitions and lists of pairs."""

import pytest

from latentsync_core.errors import BadOption
from latentsync_core.evaluation.benchmark import SHIPPED, read_benchmark
from latentsync_core.evaluation.metrics.silence import silent_frames
from latentsync_core.evaluation.pairs import GROUND_TRUTH, SOURCE_UNCHANGED, System, read_pairs
from latentsync_core.evaluation.seen_clip import hear, to_int16
from latentsync_core.media.audio import SILENCE_DBFS, loudest_dbfs


@pytest.fixture
def data(tmp_path):
    (tmp_path / "clips").mkdir()
    rows = ["clip,identity,split,kind"]
    for name in "abcdef":
        (tmp_path / "clips" / f"{name}.mp4").write_bytes(b"x")
        rows.append(f"clips/{name}.mp4,{name},{'val' if name < 'e' else 'train'},real")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_pairs_come_from_lists(data, tmp_path):
    definition = tmp_path / "mine.yaml"
    definition.write_text(
        "seconds: 4\nreconstruction: [clips/a.mp4]\ncross_driven: [{video: clips/a.mp4, audio: clips/b.mp4}]\n"
    )
    found = read_benchmark(definition, data)
    assert (found.name, found.seconds) == ("mine", 4.0)
    assert [(pair.mode, pair.name) for pair in found.pairs] == [("reconstruction", "a"), ("cross_driven", "a--b")]
    assert found.pairs[1].driver == data / "clips" / "b.mp4"


def test_pairs_come_from_a_manifest_and_nobody_drives_themselves(data, tmp_path):
    definition = tmp_path / "mine.json"
    definition.write_text(f'{{"data": "{data}", "where": {{"split": "val"}}, "reconstruction": 3, "cross_driven": 4}}')
    found = read_benchmark(definition)
    assert [pair.name for pair in found.pairs] == ["a", "b", "c", "a--b", "b--c", "c--d", "d--a"]


def test_clips_in_a_quiet_room_have_no_driver(data, tmp_path):
    definition = tmp_path / "mine.yaml"
    definition.write_text("where: {split: val}\nquiet: 2\n")
    pairs = read_benchmark(definition, data).pairs
    assert [(pair.name, pair.driver) for pair in pairs] == [("a--quiet_room", None), ("b--quiet_room", None)]
    assert loudest_dbfs(hear(pairs[0].audio, 3.0)) > SILENCE_DBFS  # the pipeline takes it
    assert silent_frames(to_int16(hear(pairs[0].audio, 3.0))).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clips: 3", "unknown key"),
        ("reconstruction: [clips/x.mp4]", "1 clips are not there"),
        ("published: Imaginary\nreconstruction: [clips/a.mp4]", "published is 'Imaginary'"),
        ("where: {split: test}\nreconstruction: 2", "has no clip with"),
        ("where: {language: de}\nreconstruction: 2", "has no column language"),
        ("about: nothing", "names no clips"),
        ("- a\n", "holds no definition"),
        ("cross_driven: [clips/a.mp4]", "needs video and audio"),
    ],
)
def test_a_bad_definition_is_refused_in_words(data, tmp_path, text, words):
    definition = tmp_path / "bad.yaml"
    definition.write_text(text)
    with pytest.raises(BadOption, match=words):
        read_benchmark(definition, data)


def test_definitions_ship_and_an_unknown_name_lists_them(tmp_path):
    assert {path.stem for path in SHIPPED.glob("*.yaml")} >= {
        "talking_faces_val",
        "talking_faces_quiet",
        "hdtf",
        "voxceleb2",
    }
    with pytest.raises(BadOption, match="talking_faces_val"):
        read_benchmark(tmp_path / "nothing")


def test_a_folder_lists_its_pairs(tmp_path):
    rows = ["result,source,audio,driver,mode", "r/one.mp4,s.mp4,a.wav,,", "two.mp4,s.mp4,s.mp4,,"]
    (tmp_path / "pairs.csv").write_text("\n".join(rows) + "\n")
    pairs, system = read_pairs(tmp_path)
    assert [(pair.mode, pair.name, pair.driver) for pair in pairs] == [
        ("cross_driven", "r/one", None),
        ("reconstruction", "two", tmp_path / "s.mp4"),
    ]
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "one.mp4").touch()
    assert system.result_of(pairs[0]) == tmp_path / "r" / "one.mp4"
    assert system.result_of(pairs[1]) is None


def test_who_takes_part_in_what(tmp_path, data):
    definition = tmp_path / "b.yaml"
    definition.write_text("reconstruction: [clips/a.mp4]\ncross_driven: [{video: clips/a.mp4, audio: clips/b.mp4}]\n")
    own, crossed = read_benchmark(definition, data).pairs
    a, b = own.source, crossed.audio
    assert (GROUND_TRUTH.result_of(own), GROUND_TRUTH.compared_with(own)) == (a, a)
    assert (GROUND_TRUTH.result_of(crossed), GROUND_TRUTH.compared_with(crossed)) == (b, b)
    assert not SOURCE_UNCHANGED.takes_part(own)
    assert SOURCE_UNCHANGED.result_of(crossed) == a
    assert System("x", "results", tmp_path).takes_part(crossed)
