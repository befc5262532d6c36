"""Typed errors: what is wrong, where, and what to do about it. No torch here.

Every message is written for the person who can act on it; `worker/tasks.py` shows it as it is.
"""


class LipSyncError(Exception):
    """Base of all errors that a user or an operator can act on."""


class BadOption(LipSyncError, ValueError):
    """A choice is out of range or unknown."""


class UnreadableMedia(LipSyncError):
    """A file is not media, is broken, or breaks a limit. The message names the file."""


class NoSpeech(LipSyncError):
    """The sound track is missing, empty or silent."""


class FaceNotFound(LipSyncError):
    """No frame of the video shows a usable face."""

    def __init__(self, frames_looked_at: int) -> None:
        self.frames_looked_at = frames_looked_at
        super().__init__(
            f"No face was found in any of the {frames_looked_at} frames looked at. "
            "Use a video in which one face is visible, upright and at least 64 pixels tall."
        )


class BadCheckpoint(LipSyncError):
    """Weights do not fit the network; the message lists missing and unexpected keys."""


class BundleNotFound(LipSyncError):
    """A model bundle is unknown, not downloaded, or incomplete."""


class EncodingFailed(LipSyncError):
    """ffmpeg could not write the result; the message carries its stderr."""


class Cancelled(LipSyncError):
    """Raised by a progress callback to stop the run; finished segments stay."""
