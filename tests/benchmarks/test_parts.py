"""A part is a process with a time limit, whose figures or whose failure come back."""

import pytest

from benchmarks.bundles import OFFICIAL
from benchmarks.machine import describe_machine
from benchmarks.parts import Deadline, PartFailed, run_part


def test_a_part_that_fails_says_why():
    with pytest.raises(PartFailed, match="invalid choice: 'abacus'"):
        run_part("ceilings", "--device", "abacus", deadline=Deadline(None))


def test_a_part_is_stopped_when_the_time_is_over():
    with pytest.raises(PartFailed, match="not finished after"):
        run_part("ceilings", deadline=Deadline(0.2))
    with pytest.raises(PartFailed, match="no time was left"):
        run_part("ceilings", deadline=Deadline(0))


def test_the_machine_is_described_with_its_versions():
    facts = describe_machine("cpu")
    assert facts["cores"] >= 1
    assert facts["gpu"] is None
    assert {"python", "torch", "ffmpeg"} <= facts["versions"].keys()
    assert "unknown" not in facts["versions"].values()


def test_both_published_sizes_are_measured():
    assert OFFICIAL == {"official-256": 256, "official-512": 512}
