"""How good a result is: one file a metric, then whole studies."""
