"""Media in and out of job folders, as browsers ask for them."""

import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.applications import Starlette

from pages.parts.file_routes import file_routes
from pages.parts.owner import COOKIE_NAME, new_owner
from worker.job import Draft
from worker.job_folder import JobFolder

JOB_ID = "0123456789abcdef" * 2


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    """A quarter of a second of picture and sound that every browser plays."""
    path = tmp_path_factory.mktemp("media") / "clip.mp4"
    sources = ["-f", "lavfi", "-i", "testsrc=size=96x64:rate=25", "-f", "lavfi", "-i", "sine=440"]
    codecs = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-t", "0.24"]
    subprocess.run(["ffmpeg", "-v", "error", *sources, *codecs, str(path)], check=True, timeout=60)
    return path


@pytest.fixture
def folder(deployment) -> JobFolder:
    """An open draft's folder, in a deployment of its own that takes 1 MB per file."""
    settings = deployment(max_upload_bytes=1_000_000, redis_url="unix:///nowhere/redis.sock")
    folder = JobFolder(JOB_ID, settings)
    folder.write_draft(Draft(owner=OWNER))
    return folder


OWNER = new_owner()


@pytest.fixture
def browser(serve, folder):
    browser = serve(Starlette(routes=file_routes()))
    browser.cookie = f"{COOKIE_NAME}={OWNER}"
    return browser


def put(browser, body: object, name: str = "clip.mp4", kind: str = "video"):
    return browser.ask("PUT", f"/files/{JOB_ID}/{kind}?name={quote(name)}", body)


def test_an_upload_lands_in_its_draft_under_our_name_and_keeps_the_users_name_for_display(browser, folder, clip):
    name = 'Jürgen\'s "best"\n演説.mp4'
    assert put(browser, clip.read_bytes(), name).status == 204
    facts = folder.input_facts("video")
    assert facts.name == 'Jürgen\'s "best" 演説.mp4'
    assert (folder.path / facts.file).read_bytes() == clip.read_bytes()
    assert facts.file == "input_video.mp4"


def test_an_upload_of_unknown_length_is_taken_block_by_block(browser, folder, clip):
    blocks = iter([clip.read_bytes()[:100], clip.read_bytes()[100:]])
    assert put(browser, blocks).status == 204
    assert folder.input("video").read_bytes() == clip.read_bytes()


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"I am a letter, not a film", "video", "is not a video"),
        (b"", "video", "is empty"),
        (b"RIFF but no sound", "audio", "can be read"),
    ],
)
def test_a_file_that_is_not_media_is_refused_in_words_that_name_it_and_leaves_nothing(
    browser, folder, body, kind, words
):
    answer = put(browser, body, "holiday.mp4", kind)
    assert answer.status == 422
    text = answer.body.decode()
    assert "holiday.mp4" in text
    assert words in text
    assert "choose another file" in text
    assert folder.input(kind) is None


def test_a_video_without_sound_is_refused_as_a_voice(browser, clip, tmp_path):
    silent = tmp_path / "silent.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(clip), "-an", "-c", "copy", str(silent)], check=True, timeout=60)
    answer = put(browser, silent.read_bytes(), "silent.mp4", "audio")
    assert (answer.status, b"sound" in answer.body) == (422, True)


def test_a_file_past_the_limit_is_refused_whether_or_not_it_says_so(browser, folder):
    assert put(browser, b"0" * 1_000_001).status == 413
    assert put(browser, iter([b"0" * 600_000] * 2)).status == 413
    assert not list(folder.path.glob("*.part"))


def test_an_upload_that_breaks_off_leaves_nothing(browser, folder):
    with socket.create_connection(("127.0.0.1", browser.port)) as connection:
        head = f"PUT /files/{JOB_ID}/video?name=a.mp4 HTTP/1.1\r\nHost: x\r\nCookie: {browser.cookie}\r\n"
        connection.sendall(f"{head}Content-Length: 500000\r\n\r\n".encode() + b"0" * 100_000)
        wait_until(lambda: any(folder.path.glob("*.part")))
    wait_until(lambda: not any(folder.path.glob("*.part")))
    assert folder.input("video") is None


def wait_until(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_only_the_browser_that_opened_a_draft_may_put_files_into_it(browser, folder, clip):
    browser.cookie = f"{COOKIE_NAME}={new_owner()}"
    assert put(browser, clip.read_bytes()).status == 403
    browser.cookie = None
    assert put(browser, clip.read_bytes()).status == 403
    assert folder.input("video") is None


def test_a_player_gets_the_part_of_a_file_that_it_asks_for(browser, folder, clip):
    folder.save_upload("video", clip, "clip.mp4")
    answer = browser.ask("GET", f"/files/{JOB_ID}/video", Range="bytes=10-19")
    assert (answer.status, answer.body) == (206, clip.read_bytes()[10:20])
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_download_is_named_after_the_video(browser, folder, clip):
    folder.save_upload("video", clip, "Zoë's day.mov")
    folder.result.write_bytes(b"result")
    answer = browser.ask("GET", f"/files/{JOB_ID}/download")
    assert answer.body == b"result"
    assert (
        answer.headers["content-disposition"]
        == "attachment; filename*=utf-8''Zo%C3%AB%27s%20day%20%28lip-synced%29.mp4"
    )


def test_pieces_and_thumbnail_are_there_when_they_are_made(browser, folder, clip):
    assert browser.ask("GET", f"/files/{JOB_ID}/segments/0").status == 404
    assert browser.ask("GET", f"/files/{JOB_ID}/thumbnail").status == 404
    (folder.path / "segments").mkdir()
    (folder.path / "segments" / "00000.mp4").write_bytes(clip.read_bytes())
    folder.save_upload("video", clip, "clip.mp4")
    assert browser.ask("GET", f"/files/{JOB_ID}/segments/0").body == clip.read_bytes()
    assert browser.ask("GET", f"/files/{JOB_ID}/thumbnail").headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    "path",
    [
        f"/files/{JOB_ID}/result",
        f"/files/{JOB_ID}/job.json",
        "/files/../result",
        "/files/%2e%2e/result",
        f"/files/{'0' * 32}/video",
    ],
)
def test_what_is_not_there_or_not_meant_for_browsers_is_not_found(browser, path):
    assert browser.ask("GET", path).status == 404
