"""A benchmark of a tiny bundle runs from end to end; how long things take is not asserted."""

import gzip
import json
from pathlib import Path

import pytest
import torch

from benchmarks.ceilings import copy_bandwidth, matmul_flops
from benchmarks.network_stages import Sampling
from benchmarks.stages import measure_stages
from benchmarks.tables import render
from benchmarks.variants import measure_variants
from benchmarks.whole_run import measure_run
from latentsync_core.bundle import Bundle, load_bundle
from tests.tiny_bundle import write_tiny_bundle

pytestmark = pytest.mark.usefixtures("one_torch_thread")
STAGES = ["read", "face", "crop", "reference", "hear", "encode", "denoise", "decode", "detail", "paste", "write"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny bundle of the small model's kind."""
    facts = {"reference": "anchor", "residual_reference": True, "default_guidance": 2.0, "default_steps": 2}
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny", **facts)


@pytest.fixture(scope="module")
def tiny(folder: Path) -> Bundle:
    return load_bundle(folder, device="cpu")


def test_every_stage_is_measured_with_its_operations_and_bytes(tiny, sample_video, sample_audio):
    measured = measure_stages(tiny, sample_video, sample_audio, Sampling(windows=1))
    assert [stage["stage"] for stage in measured["stages"]] == STAGES
    for stage in measured["stages"]:
        assert stage["seconds_per_frame"] > 0
        assert stage["host_peak_mib"] > 100
        is_network = stage["stage"] in ("hear", "encode", "denoise", "decode", "detail")
        assert (stage["flops_per_frame"] is not None) == is_network
        assert stage["least_bytes_per_frame"] > 0
        assert not is_network or stage["moved_bytes_per_frame"] > stage["least_bytes_per_frame"]
        assert not stage["is_sample"]


def test_a_part_of_the_work_is_counted_as_all_of_it_and_marked(tiny, sample_video, sample_audio):
    whole, brief = (
        {stage["stage"]: stage for stage in measure_stages(tiny, sample_video, sample_audio, sampling)["stages"]}
        for sampling in (Sampling(windows=1), Sampling(windows=1, is_brief=True, warm_up=False))
    )
    for stage in ("encode", "denoise", "decode"):
        assert brief[stage]["is_sample"]
        assert brief[stage]["flops_per_frame"] == pytest.approx(whole[stage]["flops_per_frame"], rel=0.01)
    assert brief["denoise"]["measured"].startswith("1 passes of 16 frames in")


def test_a_trace_of_each_stage_is_written_on_request(tiny, sample_video, sample_audio, tmp_path):
    measure_stages(tiny, sample_video, sample_audio, Sampling(windows=1, is_brief=True), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"{stage}.json.gz" for stage in STAGES}
    with gzip.open(tmp_path / "denoise.json.gz", "rt") as file:
        names = {event.get("name") for event in json.load(file)["traceEvents"]}
    assert any("conv" in str(name) for name in names)


def test_variants_are_compared_with_the_products_own_way(folder, sample_video, sample_audio):
    def load(dtype: str | None) -> Bundle:
        return load_bundle(folder, device="cpu", dtype=None if dtype is None else getattr(torch, dtype))

    names = list(measure_variants(load, sample_video, sample_audio, repeats=1)["seconds_per_frame"])
    assert names[0] == "float32, 2 steps, guidance 2"
    joins = ["windows side by side", "windows joined by carry"]
    assert names[1:] == ["bfloat16", "1 step", "4 steps", "no guidance", *joins]


def test_a_whole_run_of_another_size_ends_up_in_a_table(tiny, sample_video, sample_audio):
    figures = measure_run(tiny, sample_video, sample_audio, 0.5, (320, 240)) | {"bundle": "tiny"}
    assert (figures["width"], figures["height"], figures["frames"]) == (320, 240, 13)
    assert figures["warnings"] == []
    machine = {"processor": "x", "cores": 1, "memory_gib": 1, "gpu": None, "date": "", "commit": "", "load_before": 0}
    machine["versions"] = {}
    empty = {"seconds": 1, "ceilings": None, "stages": [], "variants": [], "failed": []}
    assert "0.5 s, 320 x 240, 25 fps" in render({"machine": machine, "runs": [figures], **empty}, "x.json")


def test_ceilings_are_positive_speeds():
    device = torch.device("cpu")
    assert matmul_flops(device, torch.float32, 64) > 0
    assert copy_bandwidth(device, 2**20) > 0
