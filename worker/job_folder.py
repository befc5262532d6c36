"""JobFolder: one directory per job; uploads under names of our own.

<data_dir>/<job id>/
    draft.json            who opened it, before there is a job
    input_video.<ext>     the uploads; the extension is what the probe found, never the user's
    input_video.json      what is known of it (InputFile)
    preview_video.mp4     a copy that browsers play, only if they cannot play the upload
    job.json              the job as of its last change of state (Redis is the truth while it lives)
    segments/00000.mp4    finished pieces of the result, and segments.json, by which a run resumes
    log.jsonl             structured log lines
    result.mp4, report.json
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from latentsync_core.errors import NoSpeech, UnreadableMedia
from latentsync_core.media.ffmpeg import shown
from latentsync_core.media.probe import MediaInfo, probe_media
from worker.browser_copy import make_browser_copy, make_thumbnail, plays_in_browsers
from worker.errors import UploadTooLarge
from worker.job import JOB_ID_PATTERN, Draft, InputFile, LipSyncJob
from worker.settings import MIB, Settings

UploadKind = Literal["video", "audio"]

BLOCK_BYTES = 1 * MIB
DISPLAY_NAME_LENGTH = 120

#: ffprobe's name of the container, up to its first comma (or the kind of picture) -> our extension.
EXTENSIONS = {
    **{name: name for name in ("png", "webp", "bmp", "gif", "avi", "flv", "mxf", "dv", "ivf", "h264", "hevc", "ogg")},
    **{name: name for name in ("wav", "w64", "mp3", "aac", "ac3", "eac3", "flac", "aiff", "caf", "amr", "au", "nut")},
    **{"jpeg": "jpg", "tiff": "tif", "mov": "mp4", "matroska": "mkv", "mpegts": "ts", "mpeg": "mpg"},
    **{"mpegvideo": "mpg", "asf": "wmv", "rm": "rm"},
}


class JobFolder:
    """`<data_dir>/<job id>/` and the names in it. A path exists only once something is written there."""

    def __init__(self, job_id: str, settings: Settings) -> None:
        if not re.fullmatch(JOB_ID_PATTERN, job_id):  # an id may come from a web address
            raise ValueError(f"not a job id: {job_id!r}")
        self.job_id = job_id
        self.path = settings.data_dir.absolute() / job_id
        self._settings = settings

    # --- names --------------------------------------------------------------------------------------------------

    @property
    def result(self) -> Path:
        """The finished video."""
        return self.path / "result.mp4"

    @property
    def report(self) -> Path:
        """The run's LipSyncReport as JSON."""
        return self.path / "report.json"

    @property
    def log(self) -> Path:
        """Structured log lines, one JSON object per line."""
        return self.path / "log.jsonl"

    @property
    def segments(self) -> list[Path]:
        """Finished, playable pieces (H.264 mp4 without sound), in order."""
        return sorted((self.path / "segments").glob("[0-9]*.mp4"))

    @property
    def bytes_used(self) -> int:
        """Size of all files in it."""
        return sum(file.stat().st_size for file in _files_below(self.path))

    # --- uploads ------------------------------------------------------------------------------------------------

    def input(self, kind: UploadKind) -> Path | None:
        """The upload as it was given, under our name; None if there is none yet."""
        facts = self.input_facts(kind)
        return self.path / facts.file if facts else None

    def input_facts(self, kind: UploadKind) -> InputFile | None:
        """What is known of the upload; None if there is none yet."""
        text = _read_if_there(self._facts_path(kind))
        return InputFile.model_validate_json(text) if text else None

    def save_upload(
        self, kind: UploadKind, source: Path | Iterable[bytes], name: str, max_bytes: int | None = None
    ) -> InputFile:
        """Write an upload block by block, look at what it is, and give it its name; replaces an earlier one.

        Args:
            kind: "video" also takes a still picture, "audio" also takes a video with sound.
            source: a file of this machine, or blocks of bytes.
            name: the user's file name, for display and messages only.
            max_bytes: the room that is left, if it is less than `settings.max_upload_bytes`.

        Raises:
            UploadTooLarge: past the limit; the blocks after it are not read.
            UnreadableMedia: if it is not media, or breaks a limit; the message names `name`.
            NoSpeech: if kind is "audio" and there is no sound track.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        name = display_name(name)
        limit = min(self._settings.max_upload_bytes, max_bytes if max_bytes is not None else 2**63)
        partial = self.path / f"upload_{kind}.part"
        try:
            size = _write_blocks(partial, _blocks_of(source), limit, name)
            info = self._look_at(partial, kind, name)
            self._forget_upload(kind)
            file = f"input_{kind}.{_extension_of(info, name)}"
            partial.replace(self.path / file)
        finally:
            partial.unlink(missing_ok=True)
        facts = _facts_of(info, name, file, size)
        write_atomically(self._facts_path(kind), facts.model_dump_json())
        return facts

    def preview(self, kind: UploadKind) -> Path | None:
        """Something every browser plays: the upload itself if it is, else an H.264/AAC copy, made on first use.

        May take seconds. None if there is no upload.

        Raises:
            UnreadableMedia: if the upload cannot be decoded.
        """
        upload = self.input(kind)
        if upload is None:
            return None
        info = probe_media(upload, self._settings.media_limits)
        if plays_in_browsers(info):
            return upload
        copy = self._preview_path(kind, is_picture=info.video is not None and info.video.is_picture)
        with (self.path / "preview.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # a page that reruns asks twice
            if not copy.exists():
                make_browser_copy(info, copy)
        return copy

    def remove_upload(self, kind: UploadKind) -> None:
        """Forget an upload; nothing happens if there is none."""
        self._forget_upload(kind)

    def thumbnail(self) -> Path | None:
        """A small JPEG of the video's first frames, made on first use; None if there is no upload.

        Raises:
            UnreadableMedia: if the upload cannot be decoded.
        """
        upload = self.input("video")
        if upload is None:
            return None
        small = self.path / "thumbnail.jpg"
        with (self.path / "preview.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not small.exists():
                make_thumbnail(upload, small)
        return small

    # --- records ------------------------------------------------------------------------------------------------

    def write_draft(self, draft: Draft) -> None:
        """Create the folder for uploads that may become a job."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / "draft.json", draft.model_dump_json())

    def read_draft(self) -> Draft | None:
        """Who opened it and when; None if it is not there."""
        text = _read_if_there(self.path / "draft.json")
        return Draft.model_validate_json(text) if text else None

    def write_job(self, job: LipSyncJob) -> None:
        """Keep the job beside its files, so that they explain themselves if Redis is lost."""
        if self.path.is_dir():  # deleted meanwhile: do not bring it back
            write_atomically(self.path / "job.json", job.model_dump_json(indent=2))

    def read_job(self) -> LipSyncJob | None:
        """The job as of its last change of state; None for a draft."""
        text = _read_if_there(self.path / "job.json")
        return LipSyncJob.model_validate_json(text) if text else None

    def remove(self) -> None:
        """Delete the folder and all in it; nothing happens if there is none."""
        doomed = self.path.with_name(f"{self.job_id}.deleted")  # renamed first: it is gone at once, whole
        try:
            self.path.rename(doomed)
        except FileNotFoundError:
            return
        shutil.rmtree(doomed)

    # --- steps of the above ------------------------------------------------------------------------------------

    def _preview_path(self, kind: UploadKind, is_picture: bool) -> Path:
        return self.path / f"preview_{kind}.{'png' if is_picture else 'mp4'}"

    def _facts_path(self, kind: UploadKind) -> Path:
        return self.path / f"input_{kind}.json"

    def _look_at(self, path: Path, kind: UploadKind, name: str) -> MediaInfo:
        try:
            info = probe_media(path, self._settings.media_limits)
            if kind == "video":
                info.require_video()
            else:
                info.require_audio()
        except (UnreadableMedia, NoSpeech) as error:  # said of our name for it, which tells the user nothing
            raise type(error)(str(error).replace(shown(path), f"'{name}'")) from error
        return info

    def _forget_upload(self, kind: UploadKind) -> None:
        earlier = self.input(kind)
        if earlier is not None:
            earlier.unlink(missing_ok=True)
        self._facts_path(kind).unlink(missing_ok=True)
        for is_picture in (False, True):
            self._preview_path(kind, is_picture).unlink(missing_ok=True)
        if kind == "video":
            (self.path / "thumbnail.jpg").unlink(missing_ok=True)


def display_name(name: str) -> str:
    """Make a user's file name fit for a page or a message: no folders, no control characters, not endless."""
    last = re.split(r"[/\\]", name)[-1]
    printable = "".join(char if char.isprintable() else " " for char in last)
    return " ".join(printable.split())[:DISPLAY_NAME_LENGTH] or "file"


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that a reader, or a crash, never meets half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _blocks_of(source: Path | Iterable[bytes]) -> Iterator[bytes]:
    if not isinstance(source, Path):
        yield from source
        return
    with source.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _write_blocks(path: Path, blocks: Iterable[bytes], limit: int, name: str) -> int:
    size = 0
    with path.open("wb") as file:
        for block in blocks:
            size += len(block)
            if size > limit:
                raise UploadTooLarge(f"'{name}' is larger than the {limit / MIB:.0f} MiB that there is room for.")
            file.write(block)
    return size


def _extension_of(info: MediaInfo, name: str) -> str:
    extension = EXTENSIONS.get(info.container.split(",")[0])
    if extension is None:
        raise UnreadableMedia(f"'{name}' is a {info.container} file, which is not accepted. Convert it to mp4 or wav.")
    if extension == "mp4" and info.video is None:
        return "m4a"
    return extension


def _facts_of(info: MediaInfo, name: str, file: str, size: int) -> InputFile:
    video = info.video
    is_picture = video is not None and video.is_picture
    return InputFile(
        name=name,
        file=file,
        size=size,
        seconds=None if is_picture else info.duration,
        width=video.width if video else None,
        height=video.height if video else None,
        fps=float(video.fps) if video and not is_picture else None,
    )


def _read_if_there(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _files_below(path: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            if file.is_file():
                yield file
