"""Names of cached files: they change when what the file was made of changes."""

import hashlib
from collections.abc import Sequence
from pathlib import Path


def cache_key(sources: Sequence[Path], *facts: object) -> str:
    """A short name for what is made of these files (by size and time of change) under these circumstances."""
    states = [(path.stat().st_size, path.stat().st_mtime_ns) for path in sources]
    return hashlib.sha256(repr((*states, *facts)).encode()).hexdigest()[:12]
