"""The lip-sync library: tensors and files, no Redis, no Streamlit, no environment variables.

`LipSyncPipeline` is imported on first use, so that a web page may read `LipSyncOptions`
and the typed errors without loading torch.
"""

from typing import TYPE_CHECKING, Any

from latentsync_core.options import LipSyncOptions

if TYPE_CHECKING:
    from latentsync_core.pipeline import LipSyncPipeline

__all__ = ["LipSyncOptions", "LipSyncPipeline"]


def __getattr__(name: str) -> Any:
    if name == "LipSyncPipeline":
        from latentsync_core.pipeline import LipSyncPipeline

        return LipSyncPipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
