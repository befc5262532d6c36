"""The New video page: two files, a few choices, consent, start."""

from pathlib import Path

import streamlit as st

from latentsync_core.bundle_catalog import BundleInfo
from latentsync_core.errors import LipSyncError
from latentsync_core.options import LipSyncOptions
from pages.parts.choices import ask_advanced, ask_lengths, ask_model, show_more_models
from pages.parts.components import file_drop
from pages.parts.markup import card_title, input_preview, page_head
from pages.parts.owner import current_owner
from pages.parts.places import JOB, JOBS, REPOSITORY
from pages.parts.service import playable_file, queue, settings
from worker.errors import JobNotFound, NotTheOwner, QueueError
from worker.job import InputFile
from worker.job_folder import JobFolder, UploadKind

DRAFT = "draft"  # in the address and in the session: the id of the draft that holds the files
SAMPLE_FOLDER = REPOSITORY / "samples"
SAMPLES: dict[UploadKind, tuple[str, ...]] = {
    "video": ("sample.mp4", "sample.png", "sample.jpg"),
    "audio": ("sample.wav",),
}
MIB = 2**20

ACCEPT: dict[UploadKind, str] = {"video": "video/*,image/*,.mkv,.mov", "audio": "audio/*,video/*,.mkv,.mov,.flac,.m4a"}
TITLES: dict[UploadKind, str] = {"video": "Choose a video or a picture", "audio": "Choose a recording of speech"}
FORMATS: dict[UploadKind, str] = {
    "video": "MP4, MOV, WebM, MKV, JPEG, PNG …",
    "audio": "WAV, MP3, M4A, FLAC … or a video, for its sound",
}


def show_new_video() -> None:
    """Draw the page."""
    page_head("Make someone speak", "Choose a video and a recording of speech. The lips will follow the speech.")
    draft = _current_draft()
    if draft is None:
        return
    left, right = st.columns(2, gap="medium")
    with left:
        video = _show_input(draft, "video", step=1, title="The face")
    with right:
        audio = _show_input(draft, "audio", step=2, title="The voice")
    if video is None and audio is None:
        _offer_samples(draft)
    with st.container(border=True, key="card_how"):
        card_title(3, "How it is made")
        model = ask_model()
        lengths = ask_lengths(video, audio)
        options = ask_advanced(model, lengths) if model else None
        show_more_models()
    _show_start(draft, video, audio, model, options)


def _current_draft() -> JobFolder | None:
    """Find this visit's draft again, by the address or the session, or open a new one."""
    owner = current_owner()
    for draft_id in (st.query_params.get(DRAFT), st.session_state.get(DRAFT)):
        if draft_id:
            try:
                return queue().draft(draft_id, owner)
            except (JobNotFound, NotTheOwner):
                st.query_params.pop(DRAFT, None)
    try:
        draft = queue().open_draft(owner)
    except QueueError as error:
        st.error(str(error), icon=":material/error:")
        st.page_link(JOBS, label="Go to my videos")
        return None
    st.session_state[DRAFT] = draft.job_id
    return draft


def _show_input(draft: JobFolder, kind: UploadKind, step: int, title: str) -> InputFile | None:
    """Draw one file's card: a drop zone, or what lies there already."""
    with st.container(border=True, key=f"card_{kind}"):
        card_title(step, title)
        facts = draft.input_facts(kind)
        if facts is None:
            limits = settings()
            file_drop(
                kind,
                draft.job_id,
                title=TITLES[kind],
                hint=f"{FORMATS[kind]} · up to {limits.max_upload_bytes // MIB} MB, {limits.max_seconds / 60:.3g} min",
                accept=ACCEPT[kind],
                max_bytes=limits.max_upload_bytes,
                on_uploaded=_remember_in_address,
            )
            return None
        with st.spinner("Making a preview that your browser can play …", show_time=True):
            playable = _preview_or_explain(draft, kind, facts)
        if playable:
            input_preview(draft.job_id, kind, facts)
        if st.button("Choose another", key=f"replace_{kind}", icon=":material/swap_horiz:", type="tertiary"):
            draft.remove_upload(kind)
            st.rerun()
        return facts if playable else None


def _preview_or_explain(draft: JobFolder, kind: UploadKind, facts: InputFile) -> bool:
    """Have the preview made; say why if the file turns out to be broken."""
    try:
        return playable_file(draft.job_id, kind, facts) is not None
    except LipSyncError as error:
        st.error(f"{error} Please choose another file.", icon=":material/error:")
        return False


def _remember_in_address() -> None:
    """Put the draft into the address, so that a reload keeps the files."""
    st.query_params[DRAFT] = st.session_state.get(DRAFT, st.query_params.get(DRAFT, ""))


def _offer_samples(draft: JobFolder) -> None:
    samples = {kind: _sample(kind) for kind in SAMPLES}
    if any(path is None for path in samples.values()):
        return
    with st.container(horizontal=True, horizontal_alignment="center", vertical_alignment="center"):
        st.markdown("Nothing at hand?", width="content")
        if st.button("Try it with our sample", icon=":material/auto_awesome:", key="use_sample"):
            for kind, path in samples.items():
                if path is not None:
                    draft.save_upload(kind, path, path.name)
            _remember_in_address()
            st.rerun()


def _sample(kind: UploadKind) -> Path | None:
    return next((path for name in SAMPLES[kind] if (path := SAMPLE_FOLDER / name).is_file()), None)


def _show_start(
    draft: JobFolder,
    video: InputFile | None,
    audio: InputFile | None,
    model: BundleInfo | None,
    options: LipSyncOptions | None,
) -> None:
    """Draw consent, the button, and what is still missing."""
    agreed = st.checkbox(
        "Everyone whose face or voice is used here has agreed to it, and I will say that the result is synthetic.",
        key="consent",
    )
    missing = [
        *(["a video or picture"] if video is None else []),
        *(["a recording of speech"] if audio is None else []),
        *(["your confirmation above"] if not agreed else []),
    ]
    is_ready = not missing and model is not None and options is not None
    if st.button("Create the video", type="primary", icon=":material/play_arrow:", disabled=not is_ready, key="start"):
        assert model is not None  # the button is disabled otherwise
        assert options is not None
        _start(draft, model, options)
    if missing:
        st.caption(f"Still needed: {', '.join(missing)}.")
    if not queue().workers():
        st.info(
            "No worker is running at the moment. You can start; your video waits until one is back.",
            icon=":material/schedule:",
        )


def _start(draft: JobFolder, model: BundleInfo, options: LipSyncOptions) -> None:
    try:
        job = queue().submit_draft(draft, current_owner(), options, model.name)
    except LipSyncError as error:
        st.error(str(error), icon=":material/error:")
        return
    st.session_state.pop(DRAFT, None)
    st.switch_page(JOB, query_params={"id": job.id})
