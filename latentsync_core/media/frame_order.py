"""Frames in the timeline's order: forward, standing still, backward, in bounded memory.

A film can only be decoded forward, so a backward stretch is read in pieces: seek before a piece, decode it, turn it
round.
"""

from collections.abc import Iterator, Sequence

from latentsync_core.media.video_reader import RGBFrame, VideoReader

PIECE_BYTES = 256 * 2**20  # of frames held at once when going backward
MIN_PIECE, MAX_PIECE = 8, 64  # frames


def read_in_order(reader: VideoReader, sources: Sequence[int]) -> Iterator[RGBFrame]:
    """Give the source frames of these numbers, in this order.

    A frame that is asked for several times in a row is given as the same array.

    Args:
        reader: the source, open.
        sources: source frame numbers.
    """
    piece_length = min(max(PIECE_BYTES // (reader.width * reader.height * 3), MIN_PIECE), MAX_PIECE)
    for stretch in split_stretches(sources):
        backward = stretch[-1] < stretch[0]
        pieces = _pieces(stretch, piece_length) if backward else [stretch]
        for piece in pieces:
            first, last = min(piece), max(piece)
            frames: Iterator[RGBFrame] = reader.read(first, last + 1)
            if backward:
                yield from reversed(list(frames))
            elif first == last:
                frame = next(frames)
                yield from (frame for _ in piece)
            else:
                yield from frames


def split_stretches(sources: Sequence[int]) -> list[Sequence[int]]:
    """Divide an order into stretches in which every step is the same: +1, 0 or -1; jumps divide."""
    stretches: list[Sequence[int]] = []
    start = 0
    while start < len(sources):
        stop = start + 1
        if stop < len(sources) and abs(step := sources[stop] - sources[start]) <= 1:
            while stop < len(sources) and sources[stop] - sources[stop - 1] == step:
                stop += 1
        stretches.append(sources[start:stop])
        start = stop
    return stretches


def _pieces(stretch: Sequence[int], length: int) -> list[Sequence[int]]:
    return [stretch[start : start + length] for start in range(0, len(stretch), length)]
