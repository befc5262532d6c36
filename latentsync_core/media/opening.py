"""Opening a file with libav under the same limits as ffprobe: local files only, media containers only."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from latentsync_core.errors import UnreadableMedia
from latentsync_core.media.ffmpeg import FORMATS, PROTOCOLS, file_url, shown

MAX_DECODER_THREADS = 4  # each holds frames of its own; more bring nothing next to the networks


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its first video stream that is not a cover picture.

    Raises:
        UnreadableMedia: if it cannot be opened or holds no video.
    """
    limits = {"protocol_whitelist": PROTOCOLS, "format_whitelist": FORMATS}
    try:
        container = av.open(file_url(path), options=limits)
    except (av.error.FFmpegError, OSError) as error:
        raise UnreadableMedia(f"{shown(path)} cannot be opened as a video: {error.strerror}.") from error
    with container:
        streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not streams:
            raise UnreadableMedia(f"{shown(path)} holds no picture. Choose a video or a picture file.")
        stream = streams[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = MAX_DECODER_THREADS
        yield container, stream
