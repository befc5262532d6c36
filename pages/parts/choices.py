"""What a user may choose for one video: the model, what to do when lengths differ, and the finer points."""

from dataclasses import dataclass
from typing import get_args

import streamlit as st

from latentsync_core.bundle_catalog import BundleInfo, list_bundles
from latentsync_core.options import MAX_SEED, AudioLonger, AudioShorter, LipSyncOptions
from pages.parts.service import settings
from pages.parts.words import duration_words, size_words
from worker.job import InputFile

LENGTHS_DIFFER_FROM = 0.1  # seconds; less than that nobody sees
LARGEST_STEPS = 50  # more only costs time
LARGEST_GUIDANCE = 5.0
FACES_OFFERED = 5

AUDIO_LONGER_WORDS: dict[AudioLonger, str] = {
    "ping-pong": "Play the video forwards and backwards",
    "loop": "Start the video again",
    "freeze": "Hold the last picture",
    "cut": "Cut the speech where the video ends",
}
AUDIO_SHORTER_WORDS: dict[AudioShorter, str] = {
    "cut": "End the video with the speech",
    "pass": "Let the rest of the video run on unchanged",
}
_ORDINALS = ("First", "Second", "Third", "Fourth", "Fifth")


@dataclass(frozen=True)
class Lengths:
    """What happens when sound and picture are not equally long."""

    audio_longer: AudioLonger = LipSyncOptions.audio_longer
    audio_shorter: AudioShorter = LipSyncOptions.audio_shorter


def ask_model() -> BundleInfo | None:
    """Let the user choose among the models that are on this machine; None if there is none."""
    here = [bundle for bundle in list_bundles(settings().model_cache_dir) if bundle.is_available]
    if not here:
        st.error("No model is installed on this machine yet.", icon=":material/error:")
        return None
    names = [bundle.name for bundle in here]
    return st.radio(
        "Model",
        here,
        index=names.index(settings().default_model) if settings().default_model in names else 0,
        format_func=lambda bundle: bundle.title,
        captions=[f"{bundle.description} {bundle.resolution} × {bundle.resolution} pixels." for bundle in here],
        key="model",
    )


def show_more_models() -> None:
    """Say which models there are elsewhere, and how to get them."""
    elsewhere = [bundle for bundle in list_bundles(settings().model_cache_dir) if not bundle.is_available]
    if elsewhere:
        with st.expander("More models", icon=":material/download:"):
            for bundle in elsewhere:
                _explain_download(bundle)


def _explain_download(bundle: BundleInfo) -> None:
    size = f", {size_words(bundle.download_bytes)}" if bundle.download_bytes else ""
    st.markdown(f"**{bundle.title}** · {bundle.resolution} × {bundle.resolution} pixels{size}  \n{bundle.description}")
    st.caption(f"{bundle.license_note} It is not on this machine yet. Whoever runs the studio gets it with:")
    st.code(f"python -m latentsync_core models download {bundle.name}", language=None)


def ask_lengths(video: InputFile | None, audio: InputFile | None) -> Lengths:
    """Ask what to do when the lengths differ, but only if they do."""
    if video is None or audio is None or video.seconds is None or audio.seconds is None:
        return Lengths()
    difference = audio.seconds - video.seconds
    if abs(difference) < LENGTHS_DIFFER_FROM:
        return Lengths()
    by = duration_words(abs(difference))
    if difference > 0:
        longer = st.selectbox(
            f"The speech is {by} longer than the video. What should the picture do?",
            get_args(AudioLonger),
            format_func=AUDIO_LONGER_WORDS.__getitem__,
            key="audio_longer",
        )
        return Lengths(audio_longer=longer)
    shorter = st.selectbox(
        f"The speech is {by} shorter than the video. What should happen after it?",
        get_args(AudioShorter),
        format_func=AUDIO_SHORTER_WORDS.__getitem__,
        key="audio_shorter",
    )
    return Lengths(audio_shorter=shorter)


def ask_advanced(model: BundleInfo, lengths: Lengths) -> LipSyncOptions:
    """Ask for the finer points, all of which have good defaults."""
    with st.expander("Advanced", icon=":material/tune:"):
        left, right = st.columns(2, gap="medium")
        steps = left.slider(
            "Steps",
            min_value=1,
            max_value=max(LARGEST_STEPS, model.default_steps),
            value=model.default_steps,
            key=f"steps_{model.name}",
            help="How often each picture is refined. More is slower and, up to a point, cleaner.",
        )
        guidance = right.slider(
            "Strength of the speech",
            min_value=1.0,
            max_value=LARGEST_GUIDANCE,
            value=float(model.default_guidance),
            step=0.1,
            key=f"guidance_{model.name}",
            help="How strictly the lips follow the speech (guidance scale). Too much looks overdone.",
        )
        seed = left.number_input(
            "Seed",
            min_value=0,
            max_value=MAX_SEED,
            value=LipSyncOptions.seed,
            step=1,
            key="seed",
            help="The same seed gives the same result; another one gives a slightly different one.",
        )
        face = right.selectbox(
            "Whose lips move, if there are several people",
            [None, *range(FACES_OFFERED)],
            format_func=face_words,
            key="face",
            help="Faces are counted from left to right on the first picture that shows any.",
        )
    return LipSyncOptions(
        steps=None if steps == model.default_steps else steps,
        guidance=None if guidance == float(model.default_guidance) else round(guidance, 2),
        seed=int(seed),
        audio_longer=lengths.audio_longer,
        audio_shorter=lengths.audio_shorter,
        face=face,
    )


def face_words(index: int | None) -> str:
    """Name a face: None is the main one, 0 the leftmost."""
    return "The largest face" if index is None else f"{_ORDINALS[index]} from the left"
