"""LipSyncReport: what a run did, as `--report` writes it. No torch here."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class LipSyncReport:
    """Facts of one run; seconds are wall-clock, memory is in MiB (10^6 is not meant)."""

    model: str
    device: str
    dtype: str
    seed: int
    steps: int
    guidance: float
    frames: int = 0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    frames_with_face: int = 0
    frames_without_face: int = 0
    frames_turned_away: int = 0  # of those with a face: shown as they were, the head is turned too far for the model
    frames_detected_on: int = 0
    shots: int = 0
    segments: int = 0
    segments_resumed: int = 0
    seconds_per_stage: dict[str, float] = field(default_factory=dict)
    seconds_total: float = 0.0
    peak_host_memory_mib: float = 0.0
    peak_device_memory_mib: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write the report as indented JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
