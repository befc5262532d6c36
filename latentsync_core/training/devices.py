"""Where a training runs, and how it computes; weights are float32 always."""

import torch

from latentsync_core.errors import BadOption

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}  # of the arithmetic


def choose_device(wanted: str) -> torch.device:
    """The device of `auto`, `cpu` or `cuda`.

    Raises:
        BadOption: if there is none of that kind.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise BadOption("device: cuda, but there is none; take auto or cpu")
    is_cuda = wanted == "cuda" or (wanted == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if is_cuda else "cpu")


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context that computes in the precision, one of `DTYPES`."""
    dtype = None if precision == "fp32" else DTYPES[precision]
    return torch.autocast(device.type, dtype, enabled=dtype is not None)
