"""Networks, with the parameter names of the published checkpoints."""
