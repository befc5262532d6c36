"""What may be done with jobs, and what Redis holds; no worker runs here."""

import json
import zlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from latentsync_core.errors import NoSpeech, UnreadableMedia
from latentsync_core.options import LipSyncOptions
from tests.worker.conftest import OWNER, make_settings
from tests.worker.scripted_pipeline import Script
from worker.errors import JobNotFound, NotTheOwner, QueueUnavailable, QuotaExceeded, UploadTooLarge, WrongState
from worker.job import JobState, LipSyncJob, utc_now
from worker.job_queue import JobQueue
from worker.retention import all_folders
from worker.settings import Settings

Submit = Callable[..., LipSyncJob]
STRANGER = "browser-two"


def test_a_job_is_submitted_from_blocks_and_keeps_the_users_choices(queue: JobQueue, clip: Path, tone: Path):
    options = LipSyncOptions(steps=7, seed=3, face=(10.0, 20.0))
    blocks = iter([clip.read_bytes()[:100], clip.read_bytes()[100:]])
    job = queue.submit(OWNER, blocks, tone, options, "mini", video_name="../../My\nclip.MOV")
    assert job == queue.read(job.id)
    assert job.lip_sync_options == options
    assert (job.video.name, job.video.file) == ("My clip.MOV", "input_video.mp4")
    assert (job.video.width, job.video.height, job.video.fps, job.video.seconds) == (64, 64, 25.0, 1.0)
    assert (job.audio.name, job.audio.file) == ("tone.wav", "input_audio.wav")
    assert (queue.folder(job.id).path / job.video.file).read_bytes() == clip.read_bytes()


def test_job_ids_cannot_be_guessed(queue: JobQueue, submit: Submit):
    ids = {submit(queue, Script()).id for _ in range(3)}
    assert len(ids) == 3
    assert all(len(bytes.fromhex(job_id)) == 16 for job_id in ids)


def test_redis_holds_json_and_plain_text_only(queue: JobQueue, submit: Submit):
    submit(queue, Script())
    queue.cancel(submit(queue, Script()).id, OWNER)
    values = list(all_values(queue))
    assert len(values) > 20
    for value in values:
        text = zlib.decompress(value) if value[:1] == b"x" else value  # RQ deflates its JSON
        assert not text.startswith(b"\x80")  # a pickle
        text.decode("utf-8")
        if text[:1] in (b"{", b"["):
            json.loads(text)


def all_values(queue: JobQueue) -> Iterator[bytes]:
    redis = queue.store.redis
    for key in redis.scan_iter("*"):
        kind = redis.type(key).decode()
        if kind == "string":
            yield redis.get(key)
        elif kind == "list":
            yield from redis.lrange(key, 0, -1)
        elif kind == "set":
            yield from redis.smembers(key)
        elif kind == "zset":
            yield from redis.zrange(key, 0, -1)
        elif kind == "hash":
            yield from redis.hgetall(key).values()
        elif kind == "stream":
            yield from (value for _, fields in redis.xrange(key) for value in fields.values())
        else:
            raise AssertionError(f"{key} is a {kind}")


# --- owners ---------------------------------------------------------------------------------------------------------


def test_an_owner_sees_own_jobs_newest_first(queue: JobQueue, submit: Submit):
    first, second = submit(queue, Script()), submit(queue, Script())
    submit(queue, Script(), owner=STRANGER)
    assert [job.id for job in queue.jobs_of(OWNER)] == [second.id, first.id]
    assert len(queue.all_jobs([JobState.QUEUED])) == 3


def test_another_owner_may_watch_but_not_cancel_retry_or_delete(queue: JobQueue, submit: Submit):
    job = submit(queue, Script())
    assert queue.read(job.id).state is JobState.QUEUED
    for act in (queue.cancel, queue.retry, queue.delete):
        with pytest.raises(NotTheOwner):
            act(job.id, STRANGER)
    assert queue.read(job.id).state is JobState.QUEUED


def test_another_owner_cannot_make_a_job_of_someones_draft(queue: JobQueue, clip: Path, tone: Path):
    folder = queue.open_draft(OWNER)
    folder.save_upload("video", clip, "a.mp4")
    folder.save_upload("audio", tone, "a.wav")
    with pytest.raises(NotTheOwner):
        queue.submit_draft(folder, STRANGER)


# --- states ---------------------------------------------------------------------------------------------------------


def test_a_queued_job_is_cancelled_at_once_and_leaves_the_line(queue: JobQueue, submit: Submit):
    job, behind = submit(queue, Script()), submit(queue, Script())
    assert (queue.position(job.id), queue.position(behind.id)) == (0, 1)
    assert queue.cancel(job.id, OWNER).state is JobState.CANCELLED
    assert (queue.position(job.id), queue.position(behind.id)) == (None, 0)
    assert queue.folder(job.id).read_job().state is JobState.CANCELLED


def test_a_cancelled_job_can_be_tried_again(queue: JobQueue, submit: Submit):
    job = submit(queue, Script())
    queue.cancel(job.id, OWNER)
    assert queue.retry(job.id, OWNER).attempt == 2
    assert queue.position(job.id) == 0


def test_a_queued_job_can_neither_be_tried_again_nor_deleted(queue: JobQueue, submit: Submit):
    job = submit(queue, Script())
    for act in (queue.retry, queue.delete):
        with pytest.raises(WrongState):
            act(job.id, OWNER)


def test_a_deleted_job_leaves_nothing_behind(queue: JobQueue, submit: Submit):
    job = submit(queue, Script())
    folder = queue.folder(job.id).path
    queue.cancel(job.id, OWNER)
    queue.delete(job.id, OWNER)
    assert not folder.exists()
    assert queue.jobs_of(OWNER) == []
    with pytest.raises(JobNotFound):
        queue.read(job.id)
    assert not [key for key in queue.store.redis.scan_iter("*") if job.id in key.decode()]


def test_a_draft_becomes_a_job_only_once(queue: JobQueue, submit: Submit):
    job = submit(queue, Script())
    with pytest.raises(WrongState):
        queue.submit_draft(queue.folder(job.id), OWNER)


def test_a_draft_without_sound_is_no_job(queue: JobQueue, clip: Path):
    folder = queue.open_draft(OWNER)
    folder.save_upload("video", clip, "a.mp4")
    with pytest.raises(WrongState):
        queue.submit_draft(folder, OWNER)


def test_redis_that_does_not_answer_is_said_in_words(tmp_path: Path):
    queue = JobQueue(make_settings(f"unix://{tmp_path}/nowhere.sock", tmp_path, "none"))
    with pytest.raises(QueueUnavailable, match=r"nowhere\.sock"):
        queue.jobs_of(OWNER)


# --- uploads --------------------------------------------------------------------------------------------------------


def test_an_upload_is_stopped_at_its_size_limit_without_reading_on(queue: JobQueue, settings: Settings):
    tight = settings.model_copy(update={"max_upload_bytes": 5000})
    read = []

    def endless() -> Iterator[bytes]:
        while True:
            read.append(1000)
            yield b"x" * 1000

    with pytest.raises(UploadTooLarge, match="'huge'"):
        JobQueue(tight).submit(OWNER, endless(), endless(), video_name="huge")
    assert sum(read) == 6000
    assert list(all_folders(settings)) == []


@pytest.mark.parametrize("content", [b"", b"this is no video"])
def test_a_bad_upload_is_refused_by_the_users_name_for_it_and_leaves_nothing(
    queue: JobQueue, settings: Settings, tone: Path, content: bytes
):
    with pytest.raises(UnreadableMedia, match=r"'holiday\.mp4'"):
        queue.submit(OWNER, [content], tone, video_name="holiday.mp4")
    assert list(all_folders(settings)) == []


def test_a_silent_video_is_refused_as_sound_and_a_sound_as_video(queue: JobQueue, clip: Path, tone: Path):
    with pytest.raises(NoSpeech, match=r"'clip\.mp4'"):
        queue.submit(OWNER, clip, clip)
    with pytest.raises(UnreadableMedia, match=r"'tone\.wav'"):
        queue.submit(OWNER, tone, tone)


def test_a_new_upload_replaces_the_earlier_one(queue: JobQueue, clip: Path, tone: Path):
    folder = queue.open_draft(OWNER)
    folder.save_upload("audio", tone, "first.wav")
    folder.save_upload("audio", tone, "second.wav")
    assert folder.input_facts("audio").name == "second.wav"
    assert len(list(folder.path.glob("input_audio.*"))) == 2  # the sound, and what is known of it


def test_a_file_that_browsers_play_is_its_own_preview(queue: JobQueue, clip: Path, tone: Path):
    folder = queue.open_draft(OWNER)
    folder.save_upload("video", clip, "a.mp4")
    folder.save_upload("audio", tone, "a.wav")
    assert folder.preview("video") == folder.input("video")
    assert folder.preview("audio") == folder.input("audio")


# --- quota and retention --------------------------------------------------------------------------------------------


def test_an_owner_may_have_only_so_many_jobs_waiting(settings: Settings, submit: Submit):
    queue = JobQueue(settings.model_copy(update={"max_queued_jobs": 2}))
    submit(queue, Script())
    cancelled = submit(queue, Script())
    with pytest.raises(QuotaExceeded, match="2 jobs"):
        submit(queue, Script())
    submit(queue, Script(), owner=STRANGER)
    queue.cancel(cancelled.id, OWNER)
    submit(queue, Script())
    with pytest.raises(QuotaExceeded):
        queue.retry(cancelled.id, OWNER)


def test_an_owner_with_too_much_on_disk_is_told_to_delete_something(settings: Settings, submit: Submit):
    job = submit(JobQueue(settings), Script())
    queue = JobQueue(settings.model_copy(update={"max_owner_bytes": 1000}))
    with pytest.raises(QuotaExceeded, match="Delete"):
        queue.open_draft(OWNER)
    queue.open_draft(STRANGER)
    queue.cancel(job.id, OWNER)
    queue.delete(job.id, OWNER)
    queue.open_draft(OWNER)


def test_a_full_disk_takes_nothing_from_anybody(settings: Settings, submit: Submit):
    submit(JobQueue(settings), Script())
    with pytest.raises(QuotaExceeded, match="full"):
        JobQueue(settings.model_copy(update={"max_total_bytes": 1000})).open_draft(STRANGER)


def test_the_sweep_removes_old_jobs_and_unused_drafts_and_nothing_else(queue: JobQueue, submit: Submit):
    old, fresh, waiting = (submit(queue, Script()) for _ in range(3))
    long_ago = utc_now() - timedelta(days=queue.settings.retention_days + 1)
    for job, ended in ((old, long_ago), (fresh, utc_now())):
        queue.cancel(job.id, OWNER)
        queue.store.change(job.id, lambda now, ended=ended: now.model_copy(update={"ended_at": ended}))
    queue.store.change(waiting.id, lambda now: now.model_copy(update={"created_at": long_ago}))
    stale, new = queue.open_draft(OWNER), queue.open_draft(OWNER)
    draft = stale.read_draft()
    stale.write_draft(draft.model_copy(update={"created_at": long_ago}))
    assert queue.sweep() == 2
    left = {folder.job_id for folder in all_folders(queue.settings)}
    assert left == {fresh.id, waiting.id, new.job_id}
    assert {job.id for job in queue.jobs_of(OWNER)} == {fresh.id, waiting.id}
