"""The benchmark of a tiny bundle runs from end to end; how long things take is not asserted."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import bench, bundles
from benchmarks.bench import Benchmark
from benchmarks.bundles import measured_bundle
from benchmarks.clips import SAMPLE_AUDIO, SAMPLE_VIDEO
from benchmarks.counting import count_cost
from benchmarks.meter import measured
from benchmarks.network_stages import Sampling
from benchmarks.parts import Deadline, PartFailed
from benchmarks.stages import measure_stages
from benchmarks.tables import BEGIN, END
from latentsync_core.models.unet_config import UNetConfig
from tests.tiny_bundle import write_tiny_bundle

pytestmark = pytest.mark.usefixtures("one_torch_thread")
NETWORKS = ["hear", "encode", "denoise", "decode", "detail"]
STAGES = ["read", "face", "crop", "reference", *NETWORKS, "paste", "write"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny bundle of the small model's kind."""
    facts = {"reference": "anchor", "residual_reference": True, "default_guidance": 2.0, "default_steps": 2}
    return str(write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny", **facts))


def run_here(module: str, *arguments: str, deadline: Deadline) -> Any:
    """A part in this process: as it is started by hand, without loading torch again."""
    del deadline
    with pytest.MonkeyPatch.context() as patch:
        written: list[Any] = []
        part = importlib.import_module(f"benchmarks.{module}")
        patch.setattr(part, "say", lambda figures, _: written.append(figures))
        patch.setattr(sys, "argv", [module, *arguments])
        part.main()
    return json.loads(json.dumps(written[0]))


@pytest.fixture(scope="module")
def figures_and_tables(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """What one run of the whole benchmark writes."""
    folder = tmp_path_factory.mktemp("results")
    readme = folder / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "run_part", run_here)
        patch.setattr(bench, "STAGES", {"cpu": [[tiny, "--windows", "1"], [tiny, "--brief", "--dtype", "bfloat16"]]})
        patch.setattr(bench, "VARIANTS", {"cpu": [[tiny, "--repeats", "1"]]})
        patch.setattr(bench, "RUNS", {"cpu": [tiny]})
        patch.setattr(bench, "LARGE_PICTURE", "640x360")
        patch.setattr(bench, "RESULTS", folder)
        patch.setattr(bench, "README", readme)
        patch.setattr("benchmarks.ceilings.MATRIX_SIDE", {"cpu": 256})
        patch.setattr("benchmarks.ceilings.COPY_BYTES", {"cpu": 2**20})
        patch.setattr(sys, "argv", ["bench", "--lengths", "0.4", "3600"])
        assert bench.main() == 0
    return json.loads((folder / "cpu.json").read_text()), readme.read_text()


def test_every_stage_is_measured_with_its_operations_and_bytes(figures_and_tables):
    whole, _ = figures_and_tables[0]["stages"]
    assert [stage["stage"] for stage in whole["stages"]] == STAGES
    for stage in whole["stages"]:
        assert stage["seconds_per_frame"] > 0
        assert stage["host_peak_mib"] > 100
        assert stage["least_bytes_per_frame"] > 0
        assert (stage["flops_per_frame"] is not None) == (stage["stage"] in NETWORKS)
        assert stage["flops_per_frame"] is None or stage["moved_bytes_per_frame"] > stage["least_bytes_per_frame"]
        assert not stage["is_sample"]


def test_a_part_of_the_work_is_counted_as_all_of_it_and_marked(figures_and_tables):
    whole, brief = (
        {stage["stage"]: stage for stage in measured_stages["stages"]}
        for measured_stages in figures_and_tables[0]["stages"]
    )
    for stage in ("encode", "denoise", "decode"):
        assert brief[stage]["is_sample"]
        assert brief[stage]["flops_per_frame"] == pytest.approx(whole[stage]["flops_per_frame"], rel=0.01)
    assert brief["denoise"]["measured"].startswith("1 passes of 16 frames in")


def test_variants_are_compared_with_the_products_own_way(figures_and_tables):
    names = list(figures_and_tables[0]["variants"][0]["seconds_per_frame"])
    assert names[:3] == ["float32, 2 steps, guidance 2", "bfloat16", "1 step"]
    assert names[3:] == ["4 steps", "no guidance", "windows side by side", "windows joined by carry"]


def test_whole_runs_have_two_sizes_and_what_does_not_fit_is_extrapolated(figures_and_tables):
    runs = figures_and_tables[0]["runs"]
    assert [(run["width"], run["is_extrapolated"]) for run in runs] == [(512, False), (640, False), (512, True)]
    assert [run["frames"] for run in runs] == [10, 10, 90_000]
    assert runs[0]["warnings"] == []
    assert figures_and_tables[0]["failed"] == []


def test_tables_are_made_of_the_figures(figures_and_tables):
    assert figures_and_tables[1].count("Each stage alone") == 2
    assert "3600 s, 512 x 512, 25 fps | 90000 | ~" in figures_and_tables[1]


class Clock(Deadline):
    """Time that passes only when a part says so."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    @property
    def left(self) -> float:
        return self._left

    def spend(self, seconds: float) -> None:
        self._left -= seconds


def test_longer_clips_are_measured_as_long_as_they_fit(monkeypatch: pytest.MonkeyPatch):
    def pretend(module: str, *arguments: str, deadline: Clock) -> Any:
        if module != "whole_run":
            raise PartFailed("not here")
        length = float(arguments[arguments.index("--seconds") + 1])
        width = 1280 if "--size" in arguments else 512
        deadline.spend(5 * length)
        facts = {"bundle": "mini", "device": "cpu", "dtype": "", "height": 1, "fps": 25.0, "steps": 4, "guidance": 2.0}
        times = {"seconds_of_video": length, "seconds_total": 5 * length, "seconds_loading": 1.0, "frames": 1}
        return facts | times | {"width": width, "is_extrapolated": False}

    def lengths(minutes: float) -> list[tuple[float, bool]]:
        benchmark = Benchmark("cpu", Clock(60 * minutes))
        benchmark.run([5.0, 20.0, 60.0, 600.0])
        own_size = [run for run in benchmark.figures["runs"] if run["width"] == 512]
        return [(run["seconds_of_video"], run["is_extrapolated"]) for run in own_size]

    monkeypatch.setattr(bench, "run_part", pretend)
    assert lengths(4) == [(5.0, False), (20.0, False), (60.0, True), (600.0, True)]
    assert lengths(12) == [(5.0, False), (20.0, False), (60.0, False), (600.0, True)]


def test_a_trace_is_written_on_request(tmp_path: Path):
    with measured(torch.device("cpu"), tmp_path / "trace.json") as reading:
        torch.nn.Conv2d(3, 3, 3)(torch.zeros(1, 3, 8, 8))
    names = {event.get("name") for event in json.loads((tmp_path / "trace.json").read_text())["traceEvents"]}
    assert "aten::conv2d" in names
    assert reading.seconds > 0


def test_a_clip_that_is_too_short_is_refused(tiny: str):
    with pytest.raises(ValueError, match="160 frames with a face are needed"):
        measure_stages(measured_bundle(tiny, "cpu"), SAMPLE_VIDEO, SAMPLE_AUDIO, Sampling(windows=10))


def test_the_published_architecture_is_measured_with_seeded_weights(monkeypatch: pytest.MonkeyPatch):
    narrow = UNetConfig(block_out_channels=(32, 32, 32, 32), layers_per_block=1)
    monkeypatch.setattr(bundles, "UNetConfig", lambda: narrow)
    monkeypatch.setitem(bundles.AUTOENCODER, "block_out_channels", (32, 32, 32, 32))
    bundle, again = (measured_bundle("official-256", "cpu", "bfloat16") for _ in range(2))
    assert all(map(torch.equal, bundle.unet.parameters(), again.unet.parameters()))
    brief = Sampling(windows=1, is_brief=True, warm_up=False)
    figures = measure_stages(bundle, SAMPLE_VIDEO, SAMPLE_AUDIO, brief)
    assert (figures["resolution"], figures["steps"], figures["guidance"]) == (256, 20, 1.5)
    stages = {stage["stage"]: stage for stage in figures["stages"]}
    assert stages.keys() == set(STAGES) - {"reference", "detail"}
    sample, audio = torch.zeros(2, 13, 16, 32, 32).bfloat16(), torch.zeros(2, 16, 50, 384).bfloat16()
    of_a_pass = count_cost(bundle.unet, sample, torch.tensor(1), audio)
    assert stages["denoise"]["flops_per_frame"] == pytest.approx(20 / 12 * of_a_pass.flops, rel=0.01)
