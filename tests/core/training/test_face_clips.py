"""Prepared clips: listed in a fixed order, sampled over people."""

import pytest

from latentsync_core.errors import UnreadableMedia
from latentsync_core.training.face_clips import clip_weights, read_face_clips
from tests.core.training.small_clips import save_small_clips


def test_a_person_with_many_clips_does_not_crowd_out_the_others(tmp_path):
    clips = read_face_clips(save_small_clips(tmp_path, {"many": 16, "one": 1}, side=8))
    weights = clip_weights(clips)
    share = {
        person: sum(w for c, w in zip(clips, weights, strict=True) if c.identity == person)
        for person in ("many", "one")
    }
    assert share["many"] / share["one"] == pytest.approx(4.0)  # the square root of the footage


def test_generated_footage_counts_less(tmp_path):
    clips = read_face_clips(save_small_clips(tmp_path, {"a": 1, "b": 1}, side=8))
    from dataclasses import replace

    clips[1] = replace(clips[1], kind="generated")
    assert clip_weights(clips, generated_weight=0.5) == pytest.approx([2 / 3, 1 / 3])


def test_a_folder_without_clips_says_what_to_do(tmp_path):
    with pytest.raises(UnreadableMedia, match="prepare"):
        read_face_clips(tmp_path, "train")
