"""`prepare RAW_DIR OUT_DIR`: training clips from raw videos of talking people."""

import argparse
import os
import sys
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latentsync_core.data_preparation.prepare import Plan, Prepared


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "prepare",
        help="turn raw videos of talking people into training clips",
        description="Checks, resamples, splits, aligns and measures the videos below RAW_DIR and writes clips, "
        "manifest.csv and summary.html to OUT_DIR. A run that was killed goes on where it was. See docs/prepare.md.",
    )
    parser.add_argument("raw_dir", metavar="RAW_DIR", type=Path)
    parser.add_argument("out_dir", metavar="OUT_DIR", type=Path)
    parser.add_argument("--dry-run", action="store_true", help="probe all files, say what would be done, write nothing")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes; all cores")
    parser.add_argument("--resolution", type=int, metavar="PX", help="side of the aligned faces: 256 (default) or 512")
    parser.add_argument(
        "--clips",
        choices=["cut", "whole"],
        help="cut: raw footage (default); whole: every file is one clip already (default with a manifest.csv)",
    )
    parser.add_argument("--min-seconds", type=float, metavar="S", help="shortest segment (default 5)")
    parser.add_argument("--max-seconds", type=float, metavar="S", help="longest segment (default 10)")
    parser.add_argument("--syncnet", type=Path, metavar="PATH", help="StableSyncNet that measures the sound's offset")
    parser.add_argument(
        "--offsets",
        choices=["correct", "before", "report"],
        help="shift the sound to offset 0 and drop what is more than 6 frames off (default with --syncnet), by what is "
        "measured on aligned faces (correct) or on faces before they are (before); or report",
    )
    parser.add_argument(
        "--alignment", choices=["affine", "box"], help="box: the face's bounding box, not aligned; for studies"
    )
    parser.add_argument(
        "--disturb", type=int, metavar="N", help="move each training video's sound by up to N frames; for studies"
    )
    parser.add_argument("--min-confidence", type=float, metavar="C", help="drop clips of lower sync confidence")
    parser.add_argument("--hyperiqa", type=Path, metavar="WEIGHTS", help="measure quality by HyperIQA (needs pyiqa)")
    parser.add_argument("--min-quality", type=float, metavar="Q", help="drop clips of lower quality")
    parser.add_argument("--val-share", type=float, metavar="P", help="share of people held out (default 0.1)")
    parser.set_defaults(run=run_prepare)


def run_prepare(arguments: argparse.Namespace) -> int:
    """Prepare what is missing, or plan it, and say what came in, what went out and why."""
    from tqdm import tqdm

    from latentsync_core.commands.quiet import native_stderr_silenced
    from latentsync_core.data_preparation.options import PrepareOptions
    from latentsync_core.data_preparation.prepare import SUMMARY, plan_videos, prepare_videos

    chosen = {field.name: getattr(arguments, field.name) for field in fields(PrepareOptions)}
    options = PrepareOptions(**{name: value for name, value in chosen.items() if value is not None})
    if arguments.dry_run:
        sys.stdout.write(_describe_plan(plan_videos(arguments.raw_dir, arguments.out_dir, options)))
        return 0
    with native_stderr_silenced(), tqdm(unit="video", disable=None) as bar:

        def show(finished: int, total: int) -> None:
            bar.total = total
            bar.update(finished - bar.n)

        prepared = prepare_videos(arguments.raw_dir, arguments.out_dir, options, show)
    sys.stdout.write(_describe(prepared) + f"{arguments.out_dir / SUMMARY}\n")
    return 0


def _describe(prepared: "Prepared") -> str:
    from latentsync_core.data_preparation.audit import audit_lines
    from latentsync_core.data_preparation.summary_page import reasons
    from latentsync_core.data_preparation.tally import STEPS

    lines = [f"{'step':22}{'counts':20}{'in':>7}{'out':>7}  dropped, and why"]
    for tally in prepared.tallies:
        counts = f"{tally.came_in:7}{tally.went_out:7}"
        lines.append(f"{tally.step:22}{STEPS[tally.step]:20}{counts}  {reasons(tally)}".rstrip())
    lines += ["", *(f"{name:14}{text}" for name, text in audit_lines(prepared.audit))]
    if prepared.videos_done_before:
        lines.append(f"{'done before':14}{prepared.videos_done_before} videos")
    if prepared.strangers:
        shown = ", ".join(prepared.strangers[:3])
        lines.append(f"{'strangers':14}{len(prepared.strangers)} clips in OUT_DIR are of none of these videos: {shown}")
    return "\n".join(lines) + "\n"


def _describe_plan(plan: "Plan") -> str:
    from latentsync_core.data_preparation.audit import show_hours

    reasons = Counter(dropped.reason for _, dropped in plan.dropped)
    why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    lines = [
        f"{plan.videos} videos: {plan.readable} readable, {len(plan.dropped)} would be dropped by probing",
        f"{show_hours(plan.seconds / 3600)} of footage, {plan.people} people",
        f"{plan.resampled} are not 25 fps and would be resampled; at most {plan.at_most_clips} clips",
        f"{plan.done_before} videos have been prepared before",
    ]
    lines += [
        f"language {name or 'not given'}: {show_hours(seconds / 3600)}" for name, seconds in plan.languages.items()
    ]
    lines += [f"split {name}: {people} people" for name, people in sorted(plan.splits.items())]
    lines += [f"why: {why}"] if why else []
    lines += [f"  {name}: {dropped}" for name, dropped in plan.dropped]
    return "\n".join(lines) + "\n"
