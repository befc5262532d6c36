"""What is known of one stage: time, memory, operations and bytes, all for one frame of the result."""

from dataclasses import dataclass
from typing import Any

from benchmarks.counting import Cost
from benchmarks.meter import Reading


@dataclass(frozen=True)
class StageFigures:
    """One stage, measured alone.

    Attributes:
        stage: its name.
        reading: what was measured.
        units: so many were worked on meanwhile.
        unit: what was counted, for people: "frames", "passes of 16 frames", ...
        units_per_frame: so many of them one frame of the result needs.
        cost: operations and bytes of one unit; None = unknown.
        dtype: in which the operations are done; None = no networks, operations not counted.
        is_sample: the measured part is less than the stage does for a window; the rest is taken to cost the same.
    """

    stage: str
    reading: Reading
    units: float
    unit: str
    units_per_frame: float
    cost: Cost | None = None
    dtype: str | None = None
    is_sample: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Give JSON-ready figures; all that ends on _per_frame is for one frame of the result."""
        cost = None if self.cost is None else self.cost.times(self.units_per_frame)
        return {
            "stage": self.stage,
            "seconds_per_frame": self.reading.seconds / self.units * self.units_per_frame,
            "measured": f"{self.units:g} {self.unit} in {self.reading.seconds:.2f} s",
            "is_sample": self.is_sample,
            "host_peak_mib": round(self.reading.host_mib),
            "device_peak_mib": round(self.reading.device_mib),
            "dtype": self.dtype,
            "flops_per_frame": cost.flops if cost is not None and self.dtype is not None else None,
            "least_bytes_per_frame": cost.least_bytes if cost is not None else None,
            "moved_bytes_per_frame": cost.moved_bytes if cost is not None and self.dtype is not None else None,
        }
