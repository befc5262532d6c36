"""What a visitor does, from the first look to the finished video, in a real browser on the real stack."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.conftest import PATIENCE_MILLISECONDS, Studio
from worker.job import JobState

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

JOB_MILLISECONDS = 240_000  # for a clip of 1.2 s, the model's loading included, on a machine that does other things too
ODD_NAME = "Zoë's “odd” & <b>bold<b> clip 演説.mp4"


def choose(page: Page, kind: str, path: Path) -> None:
    page.set_input_files(f".ls-drop[data-kind={kind}] input", path)


def fill_in(page: Page, studio: Studio, video: Path, audio: Path) -> None:
    """Choose both files and confirm, up to the last click."""
    page.goto(studio.url)
    choose(page, "video", video)
    page.wait_for_selector(".ls-media video, .ls-media img")
    choose(page, "audio", audio)
    page.wait_for_selector(".ls-media audio")
    page.get_by_text("has agreed to it").click()


def start(page: Page) -> None:
    page.get_by_role("button", name="Create the video").click()
    page.wait_for_url(re.compile(r"/job\?id=[0-9a-f]{32}$"))


def probe(path: Path) -> dict:
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=30).stdout)


def test_a_deep_link_is_drawn_whole_for_the_first_visitor(studio: Studio, page: Page):
    page.goto(f"{studio.url}/about")
    expect(page.get_by_test_id("stTopNavLink")).to_have_count(5)
    expect(page.get_by_text("Consent comes first")).to_be_visible()


def as_phones_film(video: Path, to: Path) -> Path:
    """Encode a video as HEVC, which Chromium does not play."""
    command = ["ffmpeg", "-v", "error", "-i", str(video), "-c:v", "libx265", "-x265-params", "log-level=error", "-y"]
    subprocess.run([*command, "-tag:v", "hvc1", str(to)], check=True, capture_output=True, timeout=60)
    return to


def evaluate(page: Page, studio: Studio) -> None:
    """Have the worker measure the video of the page at hand, and look at the curves."""
    page.goto(f"{studio.url}/evaluation?job={studio.job_id(page)}")
    page.get_by_role("button", name="Evaluate this video").click()
    expect(page.get_by_text("Mouth opening against the sound")).to_be_visible(timeout=JOB_MILLISECONDS)
    expect(page.get_by_test_id("stVegaLiteChart").first).to_be_visible()
    expect(page.get_by_text("put SyncNet v2 at").first).to_be_visible()  # what is missing says so


def test_a_phones_video_is_made_watched_downloaded_and_evaluated(
    studio: Studio, page: Page, media: Path, tmp_path: Path
):
    fill_in(page, studio, as_phones_film(media / "face.mp4", tmp_path / ODD_NAME), media / "speech.wav")
    page.wait_for_function("document.querySelector('.ls-media video').readyState >= 2")
    page.get_by_text("Advanced").click()
    page.get_by_role("slider", name="Steps").press("Home")  # one step: this test is about the way, not the lips
    start(page)
    expect(page.locator("h1")).to_have_text(ODD_NAME)
    assert studio.queue.read(studio.job_id(page)).lip_sync_options.steps == 1

    page.wait_for_selector(".ls-bar, .ls-compare", timeout=JOB_MILLISECONDS)
    page.reload()  # in the middle
    expect(page.locator("h1")).to_have_text(ODD_NAME)
    page.wait_for_selector(".ls-compare", timeout=JOB_MILLISECONDS)

    page.wait_for_function("document.querySelector('video.ls-after').readyState >= 2")
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('video.ls-after').currentTime > 0.3")
    for name in ("ls-before", "ls-after"):
        assert page.evaluate(f"document.querySelector('video.{name}').videoWidth") == 360
    off = "Math.abs(document.querySelector('.ls-before').currentTime - document.querySelector('.ls-after').currentTime)"
    assert page.evaluate(off) < 0.5

    with page.expect_download() as download:
        page.get_by_text("Download the video").click()
    assert download.value.suggested_filename == "Zoë's “odd” & _b_bold_b_ clip 演説 (lip-synced).mp4"
    download.value.save_as(tmp_path / "result.mp4")
    facts = probe(tmp_path / "result.mp4")
    assert sorted(stream["codec_type"] for stream in facts["streams"]) == ["audio", "video"]
    assert float(facts["format"]["duration"]) == pytest.approx(1.2, abs=0.1)
    evaluate(page, studio)


def test_another_browser_with_the_link_may_watch_but_not_change(
    studio: Studio, page: Page, chromium: Browser, media: Path
):
    fill_in(page, studio, media / "face.png", media / "long.wav")  # a picture is a video, too
    start(page)
    friend = chromium.new_context()
    friend.set_default_timeout(PATIENCE_MILLISECONDS)
    theirs = friend.new_page()
    theirs.goto(page.url)
    expect(theirs.locator("h1")).to_have_text("face.png")
    expect(theirs.get_by_text("started in another browser")).to_be_visible()
    expect(theirs.get_by_role("button", name="Cancel")).to_have_count(0)
    theirs.goto(f"{studio.url}/jobs")
    expect(theirs.get_by_text("No videos yet")).to_be_visible()
    friend.close()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("This video was cancelled")).to_be_visible()


def test_a_restarted_browser_finds_its_videos_again_and_can_cancel(
    studio: Studio, page: Page, visitor: BrowserContext, chromium: Browser, media: Path, tmp_path: Path
):
    fill_in(page, studio, shutil.copy(media / "face.mp4", tmp_path / "change of mind.mp4"), media / "long.wav")
    expect(page.get_by_text("longer than the video")).to_be_visible()
    start(page)
    job_id = studio.job_id(page)
    again = chromium.new_context(storage_state=visitor.storage_state())
    again.set_default_timeout(PATIENCE_MILLISECONDS)
    page = again.new_page()
    page.goto(f"{studio.url}/jobs")
    expect(page.get_by_text("change of mind.mp4")).to_be_visible()
    page.get_by_role("link", name="Open").first.click()
    page.wait_for_selector(".ls-bar")
    asked = time.monotonic()
    page.get_by_role("button", name="Cancel").click()
    while studio.queue.read(job_id).state is not JobState.CANCELLED:
        assert time.monotonic() - asked < 10
        time.sleep(0.1)
    expect(page.get_by_text("This video was cancelled")).to_be_visible()

    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Yes, delete it").click()
    expect(page.get_by_role("heading", name="My videos")).to_be_visible()
    expect(page.get_by_text("change of mind.mp4")).to_have_count(0)
    assert not (studio.logs / "jobs" / job_id).exists()
    again.close()


def test_a_file_that_is_no_video_is_refused_at_once_in_plain_words(studio: Studio, page: Page, media: Path):
    page.goto(studio.url)
    choose(page, "video", media / "letter.mp4")
    message = page.locator(".ls-drop[data-kind=video] .ls-drop-message")
    expect(message).to_contain_text("letter.mp4")
    expect(message).to_contain_text("Please choose another file.")
    expect(page.get_by_role("button", name="Create the video")).to_be_disabled()
    choose(page, "video", media / "face.mp4")  # the same zone takes a good one afterwards
    page.wait_for_selector(".ls-media video")
    page.reload()
    page.wait_for_selector(".ls-media video")
