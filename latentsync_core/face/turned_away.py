"""Heads turned further than a model can draw: the result fades out, and the source shows.

A small model learnt from few turned heads and smears their mouths; an old mouth is better than no mouth. The fade
follows the head, so the picture does not jump where a turn begins or ends.
"""

FADE_DEGREES = 8.0  # before the limit


def shown_share(yaw: float, max_yaw: float) -> float:
    """Say how much of a generated face is shown, from 1 (all) to 0 (the source shows).

    Args:
        yaw: turn of the head to either side, degrees.
        max_yaw: where nothing is left of the result, degrees.
    """
    return min(1.0, max(0.0, (max_yaw - abs(yaw)) / FADE_DEGREES))
