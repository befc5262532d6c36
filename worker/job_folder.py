"""JobFolder: one directory per job; uploads under names of our own."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from worker.job import InputFile
from worker.settings import Settings

UploadKind = Literal["video", "audio"]


class JobFolder:
    """`<data_dir>/<job id>/` and the names in it. Paths exist only once something is written."""

    def __init__(self, root: Path, job_id: str, settings: Settings) -> None:
        self.job_id = job_id
        self.path = root / job_id

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
        raise NotImplementedError

    def input(self, kind: UploadKind) -> Path | None:
        """The upload as it was given, under our name; None if there is none yet."""
        raise NotImplementedError

    def input_facts(self, kind: UploadKind) -> InputFile | None:
        """What is known of the upload; None if there is none yet."""
        raise NotImplementedError

    def preview(self, kind: UploadKind) -> Path | None:
        """Something every browser plays: the upload itself if it is, else an H.264/AAC proxy, made on first use.

        May take seconds. None if there is no upload.
        """
        raise NotImplementedError

    def save_upload(self, kind: UploadKind, source: Path | Iterable[bytes], name: str) -> InputFile:
        """Write an upload block by block, look at what it is, and give it its name; replaces an earlier one.

        Args:
            kind: "video" also takes a still picture, "audio" also takes a video with sound.
            source: a file of this machine, or blocks of bytes.
            name: the user's file name, for display and messages only.

        Raises:
            UploadTooLarge: past `settings.max_upload_bytes`.
            UnreadableMedia: if it is not media, or breaks a limit; the message names `name`.
            NoSpeech: if kind is "audio" and there is no sound track.
        """
        raise NotImplementedError

    def remove(self) -> None:
        """Delete the folder and all in it; nothing happens if there is none."""
        raise NotImplementedError
