"""The pages as Streamlit runs them, without a browser: what they say and offer in each state."""

from pathlib import Path
from uuid import uuid4

import pytest
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

from latentsync_core.bundle_catalog import BundleInfo
from latentsync_core.options import LipSyncOptions
from latentsync_core.report import LipSyncReport
from pages.parts import choices
from pages.parts.owner import COOKIE_NAME
from tests.conftest import run_ffmpeg
from tests.private_redis import private_redis
from worker.job import InputFile, JobProgress, JobState, LipSyncJob
from worker.job_queue import JobQueue

FRAME = Path(__file__).resolve().parents[2] / "pages" / "frame.py"
OWNER = "a" * 32
MINI = BundleInfo("mini", "Mini", 256, 8, 1.5, "Small.", "Research only.", True, 0)
LARGE = BundleInfo("latentsync-1.6", "LatentSync 1.6", 512, 20, 1.5, "Large.", "See its card.", False, 5_000_000_000)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory):
    with private_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def queue(redis_url, tmp_path, deployment, monkeypatch) -> JobQueue:
    """The deployment's queue, in a corner of Redis of its own."""
    queue = JobQueue(deployment(redis_url=redis_url, queue_name=f"pages-{uuid4().hex}"))
    # AppTest has no browser: give it the two things that a page reads of one.
    monkeypatch.setattr(ContextProxy, "cookies", {COOKIE_NAME: OWNER})
    monkeypatch.setattr(ContextProxy, "url", "http://studio:8501/job")
    return queue


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    """1 s of a test picture, 96 x 64 at 25 fps."""
    path = tmp_path_factory.mktemp("media") / "clip.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=size=96x64:rate=25:duration=1", "-pix_fmt", "yuv420p", path)
    return path


@pytest.fixture(scope="session")
def tone(tmp_path_factory) -> Path:
    """2 s of 440 Hz."""
    path = tmp_path_factory.mktemp("media") / "tone.wav"
    run_ffmpeg("-f", "lavfi", "-i", "sine=frequency=440:duration=2", path)
    return path


@pytest.fixture
def job(queue, clip, tone) -> LipSyncJob:
    """A job that waits: there is no worker."""
    return queue.submit(OWNER, clip, tone, video_name="Anna & <b>Ben.mp4", audio_name="speech.wav")


def open_page(page: str, **query: str) -> AppTest:
    test = AppTest.from_file(str(FRAME), default_timeout=30)
    for key, value in query.items():
        test.query_params[key] = value
    return test.run() if page == "new_video" else test.run().switch_page(f"{page}.py").run()


def everything_in(test: AppTest) -> str:
    """All that a page says, in one text, the style sheet left out."""
    assert not test.exception
    parts = [element.proto.body for element in test.get("html") if "<style>" not in element.proto.body]
    kinds = ("markdown", "caption", "info", "error", "warning", "code")
    return "\n".join([*parts, *(element.value for kind in kinds for element in test.get(kind))])


@pytest.fixture
def one_model(monkeypatch):
    monkeypatch.setattr(choices, "list_bundles", lambda cache_dir: [MINI, LARGE])


def put_job(queue: JobQueue, job: LipSyncJob, **changes) -> None:
    queue.store.change(job.id, lambda old: old.model_copy(update=changes))


def test_new_video_states_its_limits_and_what_is_missing(queue, one_model):
    test = open_page("new_video")
    said = everything_in(test)
    assert "Still needed: a video or picture, a recording of speech, your confirmation above." in said
    assert "No worker is running" in said
    assert test.button(key="start").disabled
    assert "python -m latentsync_core models download latentsync-1.6" in said
    assert "5.0 GB" in said


def test_new_video_without_any_model_says_so(queue, monkeypatch):
    monkeypatch.setattr(choices, "list_bundles", lambda cache_dir: [LARGE])
    test = open_page("new_video")
    assert "No model is installed" in everything_in(test)
    assert test.button(key="start").disabled


def test_a_complete_draft_becomes_a_job_with_what_was_chosen(queue, one_model, clip, tone):
    draft = queue.open_draft(OWNER)
    draft.save_upload("video", clip, "clip.mp4")
    draft.save_upload("audio", tone, "tone.wav")
    test = open_page("new_video", draft=draft.job_id)
    test.checkbox(key="consent").check()
    test.slider(key="steps_mini").set_value(3)
    test.selectbox(key="audio_longer").set_value("freeze")
    test.run()
    test.button(key="start").click().run()
    (job,) = queue.jobs_of(OWNER)
    assert job.id == draft.job_id
    assert job.model == "mini"
    assert job.lip_sync_options == LipSyncOptions(steps=3, audio_longer="freeze")


def test_the_question_about_lengths_comes_only_when_they_differ():
    video = InputFile(name="v", file="v", size=1, seconds=3.0, width=64, height=64, fps=25)
    for seconds, label in ((3.05, None), (5.0, "2 s longer"), (1.0, "2 s shorter")):
        test = AppTest.from_function(_ask_lengths, args=(video, video.model_copy(update={"seconds": seconds}))).run()
        assert [label in box.label for box in test.selectbox] == ([True] if label else [])


def _ask_lengths(video, audio):
    from pages.parts.choices import ask_lengths

    ask_lengths(video, audio)


def test_someone_elses_draft_is_not_taken_over(queue, one_model):
    draft = queue.open_draft("b" * 32)
    test = open_page("new_video", draft=draft.job_id)
    everything_in(test)
    assert test.session_state["draft"] != draft.job_id


def test_the_list_is_empty_at_first_and_says_what_to_do(queue):
    test = open_page("jobs")
    assert "No videos yet" in everything_in(test)
    assert "Make a video" in [button.label for button in test.button]


def test_the_list_shows_a_jobs_names_as_text_whatever_they_contain(queue, job):
    assert "Anna &amp; &lt;b&gt;Ben.mp4" in everything_in(open_page("jobs"))


def test_a_waiting_job_says_so_and_can_be_cancelled_and_tried_again(queue, job):
    test = open_page("job", id=job.id)
    assert "Waiting for a worker." in everything_in(test)
    test.button(key="cancel").click().run()
    assert queue.read(job.id).state is JobState.CANCELLED
    test = open_page("job", id=job.id)
    assert "was cancelled" in everything_in(test)
    test.button(key="retry").click().run()
    assert queue.read(job.id).state is JobState.QUEUED


def test_a_running_job_shows_stage_frames_and_time_left(queue, job):
    progress = JobProgress(stage="diffusion", frames_done=8, frames_total=25, fraction=0.4, seconds_left=37)
    put_job(queue, job, state=JobState.RUNNING, progress=progress)
    said = everything_in(open_page("job", id=job.id))
    assert "Drawing the lips · frame 8 of 25" in said
    assert "40 % · about 35 s left" in said


def test_a_failed_job_says_why_in_its_own_words(queue, job):
    put_job(queue, job, state=JobState.FAILED, message="No face was found in any of the 25 frames looked at.")
    test = open_page("job", id=job.id)
    assert "No face was found" in everything_in(test)
    assert test.button(key="retry")


def test_a_finished_job_gives_facts_link_and_download(queue, job):
    put_job(queue, job, state=JobState.FINISHED)
    folder = queue.folder(job.id)
    folder.result.write_bytes(b"0" * 640_000)
    LipSyncReport(
        model="mini", device="cpu", dtype="float32", seed=1, steps=8, guidance=1.5, frames=25, fps=25.0, width=96,
        height=64, frames_with_face=20,
    ).write(folder.report)  # fmt: skip
    said = everything_in(open_page("job", id=job.id))
    assert "20 of 25" in said
    assert "640 kB" in said
    assert f"http://studio:8501/job?id={job.id}" in said
    assert f'href="files/{job.id}/download"' in said


def test_someone_else_may_watch_a_job_but_not_change_it(queue, job, monkeypatch):
    monkeypatch.setattr(ContextProxy, "cookies", {COOKIE_NAME: "b" * 32})
    test = open_page("job", id=job.id)
    assert "started in another browser" in everything_in(test)
    assert not {"cancel", "retry", "delete"} & {button.key for button in test.button}


@pytest.mark.parametrize("job_id", ["f" * 32, "../../etc/passwd", ""])
def test_a_job_that_does_not_exist_is_said_to_be_gone(queue, job_id):
    assert "This video is not here" in everything_in(open_page("job", id=job_id))


def test_about_states_consent_and_the_deployments_limits(queue):
    said = everything_in(open_page("about"))
    assert "agreed to this very use" in said
    assert "**500 MB**" in said
