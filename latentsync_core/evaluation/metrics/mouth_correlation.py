"""Leakage and cross-driven correlation: whose mouth does the generated one follow? Our own definitions.

Highest Pearson correlation over shifts of -2..2 frames at 25 fps of the generated mouth opening (inner lips' distance
over the face's height)
- with the driver's real mouth in the video its sound comes from: the cross-driven correlation, 1 is best;
- with the source's old mouth at the same frames: leakage, 1 when the source's lips shine through, near 0 without. The
  best of five shifts of unrelated mouths is above 0 by chance (0.07 over all pairs of talking_faces' `val` clips, 3 s
  each); what shines through does so at the same instant, so both correlations are also given without shifts.
The spread is the ratio of standard deviations, generated over driver's: 1 is right, 0 a mouth that does not move.
"""

from latentsync_core.evaluation.mouth_sync import best_lag_correlation, spread_ratio

__all__ = ["best_lag_correlation", "spread_ratio"]
