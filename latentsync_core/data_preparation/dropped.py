"""Why a video or a clip goes no further: a few words to count by, and what exactly was seen."""

from collections.abc import Iterator
from contextlib import contextmanager

from latentsync_core.errors import LipSyncError, NoSpeech, UnreadableMedia


class Dropped(LipSyncError):
    """A step does not let something pass.

    Attributes:
        reason: one of few, to count by.
        detail: what was seen in this case.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}" if detail else reason)


@contextmanager
def media_errors_drop() -> Iterator[None]:
    """Turn what the media package says of a file into a reason."""
    try:
        yield
    except NoSpeech as error:
        raise Dropped("no sound, or silent", str(error)) from error
    except UnreadableMedia as error:
        raise Dropped("broken or refused", str(error)) from error
