"""Numbers and names as the page shows them."""

from datetime import UTC, datetime, timedelta

import pytest

from pages.parts.words import age_words, download_name, duration_words, size_words, time_left_words

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.42, "0.4 s"),
        (3, "3 s"),
        (9.99, "10 s"),
        (59.6, "1 min"),
        (80, "1 min 20 s"),
        (3599, "59 min 59 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_a_time_span_is_said_in_two_units_at_most(seconds, words):
    assert duration_words(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (float("inf"), ""),
        (2, "a few seconds left"),
        (37, "about 35 s left"),
        (61, "about 1 min left"),
        (700, "about 12 min left"),
    ],
)
def test_time_left_is_no_finer_than_it_can_be_known(seconds, words):
    assert time_left_words(seconds) == words


@pytest.mark.parametrize(
    ("num_bytes", "words"),
    [(999, "999 bytes"), (1000, "1 kB"), (640_000, "640 kB"), (12_500_000, "12.5 MB"), (5e9, "5.0 GB")],
)
def test_a_size_is_said_in_decimal_units(num_bytes, words):
    assert size_words(num_bytes) == words


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=10), "just now"),
        (timedelta(seconds=70), "1 minute ago"),
        (timedelta(minutes=42), "42 minutes ago"),
        (timedelta(hours=5), "5 hours ago"),
        (timedelta(days=1), "yesterday"),
        (timedelta(days=3), "3 days ago"),
    ],
)
def test_an_age_is_said_as_people_say_it(ago, words):
    assert age_words(NOW - ago, NOW) == words


@pytest.mark.parametrize(
    ("video", "download"),
    [
        ("Anna.MOV", "Anna (lip-synced).mp4"),
        ("Jürgen's “best” 演説.mp4", "Jürgen's “best” 演説 (lip-synced).mp4"),
        ('a"b\nc.mp4', "a_b c (lip-synced).mp4"),
        ("../../etc/passwd", "passwd (lip-synced).mp4"),
        ("...", "video (lip-synced).mp4"),
        ("", "file (lip-synced).mp4"),
    ],
)
def test_a_download_is_named_after_its_video_and_fits_every_file_system(video, download):
    assert download_name(video) == download
