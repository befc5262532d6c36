"""The losses of training, a file each: pure functions of tensors and frozen networks."""
