"""Heads turned too far: the result fades out."""

import pytest

from latentsync_core.face.turned_away import shown_share


@pytest.mark.parametrize(("yaw", "share"), [(0, 1), (30, 1), (-30, 1), (34, 0.5), (-34, 0.5), (38, 0), (-60, 0)])
def test_the_result_fades_out_over_eight_degrees_before_the_limit_to_either_side(yaw: float, share: float):
    assert shown_share(yaw, max_yaw=38) == pytest.approx(share)
