"""The tables say what the JSON says, and no more."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bench import extrapolate
from benchmarks.tables import BEGIN, END, README, RESULTS, limits_of, render, write_tables

CEILINGS = {"cpu": {"flops": {"float32": 1e11, "bfloat16": 2e11}, "bytes": 1e10}}


def stage(name: str, seconds: float, flops: float | None = None, least: float | None = 1e6) -> dict[str, Any]:
    return {
        "stage": name,
        "seconds_per_frame": seconds,
        "measured": "8 frames in 1.00 s",
        "is_sample": False,
        "host_peak_mib": 1234,
        "device_peak_mib": 0,
        "dtype": None if flops is None else "bfloat16",
        "flops_per_frame": flops,
        "least_bytes_per_frame": least,
        "moved_bytes_per_frame": None if flops is None else 5e6,
    }


def run(seconds_of_video: float, seconds_total: float) -> dict[str, Any]:
    return {
        "bundle": "mini",
        "device": "cpu",
        "dtype": "bfloat16",
        "width": 512,
        "height": 512,
        "fps": 25.0,
        "steps": 4,
        "guidance": 2.0,
        "seconds_of_video": seconds_of_video,
        "is_extrapolated": False,
        "frames": round(seconds_of_video * 25),
        "seconds_total": seconds_total,
        "seconds_per_stage": {"face": 3.0, "diffusion": 9.0},
        "peak_host_memory_mib": 1800.4,
        "peak_device_memory_mib": 0.0,
    }


@pytest.fixture
def figures() -> dict[str, Any]:
    return {
        "machine": {
            "date": "2026-01-02 03:04 UTC",
            "commit": "abc1234",
            "processor": "Some Processor",
            "cores": 2,
            "memory_gib": 23.5,
            "load_before": 0.1,
            "gpu": None,
            "versions": {"python": "3.11.9", "torch": "2.0"},
        },
        "seconds": 300,
        "ceilings": CEILINGS,
        "stages": [
            {
                "bundle": "mini",
                "device": "cpu",
                "dtype": "bfloat16",
                "resolution": 256,
                "frame": [512, 512],
                "steps": 4,
                "guidance": 2.0,
                "stages": [stage("read", 0.025), stage("denoise", 0.075, flops=4e9)],
            }
        ],
        "variants": [{"bundle": "mini", "device": "cpu", "seconds_per_frame": {"bfloat16": 0.2, "float32": 0.5}}],
        "runs": [run(5.0, 25.0), *extrapolate([run(5.0, 25.0), run(20.0, 85.0)], [5.0, 20.0, 60.0])],
        "failed": [{"part": "stages --bundle official-512", "reason": "not finished after 9 s"}],
    }


def row_of(text: str, *beginnings: str) -> list[str]:
    """The cells of the only row whose first cells begin so."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    found = [row for row in rows if all(cell.startswith(begun) for cell, begun in zip(row, beginnings, strict=False))]
    assert len(found) == 1, found
    return found[0]


def test_a_stage_stands_beside_both_its_limits(figures):
    text = render(figures, "cpu.json")
    cells = ["denoise", "8 frames in 1.00 s", "75.0", "75%", "4.0", "1.0", "5", "20.00", "0.10", "3.8", "1,234", ""]
    assert row_of(text, "denoise") == cells
    assert row_of(text, "read")[-5:-3] == ["", "0.10"]
    assert row_of(text, "sum")[2] == "100.0"


def test_the_higher_limit_is_the_one_that_binds():
    by_operations, by_bytes = limits_of(stage("denoise", 1.0, flops=4e9, least=1e9), "cpu", CEILINGS)
    assert (by_operations, by_bytes) == pytest.approx((0.02, 0.1))


def test_a_part_of_the_work_and_what_is_extrapolated_are_marked(figures):
    figures["stages"][0]["stages"][1]["is_sample"] = True
    text = render(figures, "cpu.json")
    assert row_of(text, "denoise")[1:3] == ["8 frames in 1.00 s; the rest extrapolated", "~75.0"]
    assert row_of(text, "sum")[2] == "~100.0"
    long_run = row_of(text, "mini", "60 s")
    assert long_run[2:5] == ["1500", "~245", "~6.12"]
    assert long_run[-1] == "extrapolated"


def test_lengths_are_continued_by_the_line_through_the_two_longest():
    continued = extrapolate([run(20.0, 85.0), run(5.0, 25.0)], [5.0, 20.0, 60.0, 600.0])
    assert [(each["seconds_of_video"], each["seconds_total"]) for each in continued] == [(60.0, 245.0), (600.0, 2405.0)]
    assert extrapolate([run(5.0, 25.0)], [5.0, 60.0])[0]["seconds_total"] == 300.0
    assert extrapolate([], [5.0]) == []


def test_machine_shares_ratios_and_failures_are_told(figures):
    text = render(figures, "cpu.json")
    assert "Some Processor, 2 cores, 23.5 GiB, no GPU" in text
    assert "commit abc1234" in text
    assert "torch 2.0" in text
    assert "200 GFLOP/s in bfloat16; 10.0 GB/s" in text
    assert row_of(text, "mini", "5 s")[-1] == "face 3.0 (25%), diffusion 9.0 (75%)"
    assert row_of(text, "float32") == ["float32", "500.0", "2.50"]
    assert "official-512`: not finished after 9 s" in text


def test_only_what_stands_between_the_marks_is_written(tmp_path: Path, figures):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    (tmp_path / "cpu.json").write_text(json.dumps(figures))
    for _ in range(2):
        write_tables(tmp_path, readme)
        text = readme.read_text()
        assert text.startswith(f"before\n{BEGIN}\n")
        assert text.endswith(f"\n{END}\nafter\n")
        assert "old" not in text
        assert text.count("Some Processor") == 1


def test_the_committed_tables_are_those_of_the_committed_figures(tmp_path: Path):
    readme = tmp_path / "README.md"
    readme.write_text(README.read_text(encoding="utf-8"))
    write_tables(RESULTS, readme)
    assert readme.read_text(encoding="utf-8") == README.read_text(encoding="utf-8")
