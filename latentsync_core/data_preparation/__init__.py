"""From videos of talking people to training clips."""
