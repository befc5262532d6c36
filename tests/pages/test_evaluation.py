"""The page Evaluation as Streamlit runs it, without a browser and without a worker."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

from latentsync_core.evaluation.measures import BY_KEY
from pages.parts.evaluation_charts import series_points
from pages.parts.evaluation_job import moment_player
from pages.parts.evaluation_table import ranked_pairs
from pages.parts.owner import COOKIE_NAME
from tests.conftest import run_ffmpeg
from tests.private_redis import private_redis
from worker.evaluations import EvaluationState, evaluation_folder, evaluation_state
from worker.job import JobState
from worker.job_queue import JobQueue

FRAME = Path(__file__).resolve().parents[2] / "pages" / "frame.py"
OWNER = "a" * 32
MISSING = {"sync_confidence": "not computed: put SyncNet v2 at models/evaluation/syncnet_v2.model"}


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    with private_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def queue(redis_url, tmp_path, deployment, monkeypatch) -> JobQueue:
    settings = deployment(
        redis_url=redis_url, queue_name=f"pages-{uuid4().hex}", evaluations_dir=tmp_path / "evaluations"
    )
    monkeypatch.setattr(ContextProxy, "cookies", {COOKIE_NAME: OWNER})
    monkeypatch.setattr(ContextProxy, "url", "http://studio:8501/evaluation")
    return JobQueue(settings)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("media") / "clip.mp4"
    picture = ("-f", "lavfi", "-i", "testsrc=size=64x64:rate=25:duration=1")
    run_ffmpeg(*picture, "-f", "lavfi", "-i", "sine=duration=1", "-pix_fmt", "yuv420p", path)
    return path


@pytest.fixture
def job(queue, clip):
    """A finished video."""
    job = queue.submit(OWNER, clip, clip, video_name="Anna <b>.mp4", audio_name="speech.wav")
    queue.store.change(job.id, lambda old: old.model_copy(update={"state": JobState.FINISHED}))
    queue.folder(job.id).result.write_bytes(clip.read_bytes())
    return job


def results_of(kind: str, pairs: list[dict], systems: dict[str, dict]) -> dict:
    return {
        "kind": kind, "title": "talking faces", "about": "a few <people>", "command": "evaluate x", "date": "today",
        "seconds": 3, "vshift": 15, "published": None, "baselines": ["ground truth"], "stable_syncnet": None,
        "missing": MISSING, "tables": {"cross_driven": systems}, "comparisons": [], "pairs": pairs,
    }  # fmt: skip


def pair_of(name: str, system: str, result: Path, leakage: float, problem: str = "") -> dict:
    quiet = [0.1, 0.2] * 30
    series = {"opening": quiet, "source_opening": quiet, "loudness": [-3.0] * 60, "flicker": [*quiet[:-1], 9.0]}
    return {
        "system": system, "mode": "cross_driven", "name": name, "result": str(result), "source": "", "audio": "",
        "frames": 60, "problem": problem, "scores": {"success": 1.0, "leakage": leakage}, "series": series,
    }  # fmt: skip


def write(folder: Path, results: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results))


def open_page(**query: str) -> AppTest:
    test = AppTest.from_file(str(FRAME), default_timeout=60)
    test.query_params.update(query)
    return test.switch_page("evaluation.py").run()


def said(test: AppTest) -> str:
    assert not test.exception
    parts = [element.proto.body for element in test.get("html") if "<style>" not in element.proto.body]
    kinds = ("markdown", "caption", "info", "error", "warning", "code", "subheader")
    return "\n".join([*parts, *(element.value for kind in kinds for element in test.get(kind))])


def test_the_list_has_own_finished_videos_and_says_how_tables_are_made(job):
    text = said(open_page())
    assert f'href="evaluation?job={job.id}"' in text
    assert "Anna &lt;b&gt;.mp4" in text
    assert "not evaluated" in text
    assert "evaluate talking_faces_val evaluations/mini --generate mini" in text


def test_a_click_puts_the_evaluation_in_line_and_the_page_waits(job, queue):
    test = open_page(job=job.id)
    assert "No worker is running" in said(test)
    test.button(key="evaluate").click().run()
    assert evaluation_state(queue, job.id) is EvaluationState.QUEUED
    assert "waits for the worker" in said(test)


def test_someone_else_may_look_but_not_ask(job, monkeypatch):
    monkeypatch.setattr(ContextProxy, "cookies", {COOKIE_NAME: "b" * 32})
    test = open_page(job=job.id)
    assert "Only the browser that made this video" in said(test)
    assert not [button for button in test.button if button.key == "evaluate"]


def test_an_evaluated_video_shows_figures_curves_moments_and_what_is_missing(job, queue):
    pair = pair_of("x", "result", Path("r.mp4"), 0.25)
    write(evaluation_folder(queue.folder(job.id)), results_of("single", [pair], {}))
    test = open_page(job=job.id)
    text = said(test)
    assert BY_KEY["leakage"].title in text
    assert "0.250" in text
    assert "syncnet_v2.model" in text
    assert f"files/{job.id}/result#t=1.86,2.86" in text
    assert "flicker, 9 (usually 0.1" in text
    charts = [json.loads(chart.proto.spec) for chart in test.get("vega_lite_chart")]
    assert len(charts) == 2  # mouth and flicker: no judge, no other track
    assert test.button(key="evaluate").label == "Evaluate again"


def test_a_failed_evaluation_says_why(job, queue):
    folder = evaluation_folder(queue.folder(job.id))
    folder.mkdir()
    (folder / "error.txt").write_text("No face was found.")
    assert "No face was found." in said(open_page(job=job.id))


def test_a_table_shows_figures_and_the_videos_behind_them(queue, clip, tmp_path):
    pairs = [
        pair_of("ann--bob", "ground truth", clip, 0.0), pair_of("bob--ann", "ground truth", clip, 0.0),
        pair_of("ann--bob", "ours", clip, 0.2), pair_of("bob--ann", "ours", tmp_path / "gone.mp4", 0.7),
    ]  # fmt: skip
    estimate = {"value": 0.45, "count": 2, "low": 0.2, "high": 0.7}
    systems = {"ground truth": {}, "ours": {"leakage": estimate}}
    write(tmp_path / "evaluations" / "mini", results_of("table", pairs, systems))
    assert 'href="evaluation?table=mini"' in said(open_page())
    test = open_page(table="mini")
    text = said(test)
    assert "0.450 [0.200, 0.700] n=2" in text
    assert "a few &lt;people&gt;" in text
    test.selectbox(key="figure").set_value("leakage").run()
    assert test.selectbox(key="pair_cross_driven_leakage_ours").options[0] == "bob--ann (0.700)"  # the worst first
    assert "not on this machine any more" in said(test)
    assert len(test.get("video")) == 1


def test_pairs_are_ranked_by_which_way_is_better():
    values = {("a", "ours"): 0.1, ("b", "ours"): 0.9, ("c", "else"): 1.0}
    pairs = [pair_of(name, system, Path(name), value) for (name, system), value in values.items()]
    assert [pair["name"] for pair in ranked_pairs(pairs, "ours", "leakage")] == ["b", "a"]
    pairs[0]["scores"]["success"] = 0.0
    assert [pair["name"] for pair in ranked_pairs(pairs, "ours", "success")] == ["a", "b"]


@pytest.mark.parametrize("query", [{"job": "0" * 32}, {"job": "../x"}, {"table": "../secret"}, {"table": "gone"}])
def test_wrong_addresses_lead_nowhere(queue, tmp_path, query):
    write(tmp_path / "secret", results_of("table", [], {}))
    assert "is not here" in said(open_page(**query))


def test_points_and_players():
    points = series_points({"a": [1.0, None], "b": [2.0]})
    assert points == [{"seconds": 0, "a": 1.0, "b": 2.0}, {"seconds": 0.04, "a": None}]
    assert 'src="files/x/result#t=0.00,1.00"' in moment_player("files/x/result", 0.2, "Result", False)
    assert "<img" in moment_player("files/x/video", 0.2, "Source", True)
