"""`evaluate DATA_DIR OUT_DIR`: a model on the held-out people of a set of talking faces."""

import argparse
from pathlib import Path


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser("evaluate", help="measure a model on the held-out people of a data set")
    parser.add_argument("data_dir", metavar="DATA_DIR", type=Path, help="with manifest.csv: clip, split, kind")
    parser.add_argument("out_dir", metavar="OUT_DIR", type=Path, help="for results, scores.json and contact sheets")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--pairs", type=int, default=12, help="cross-driven pairs")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each sound at most, up to 60")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--seed", type=int, default=1247)
    parser.set_defaults(run=run_evaluate)


def run_evaluate(arguments: argparse.Namespace) -> int:
    """Run the study and show the means."""
    from rich.console import Console
    from rich.table import Table

    from latentsync_core.evaluation.held_out_study import run_held_out_study
    from latentsync_core.options import LipSyncOptions
    from latentsync_core.pipeline import LipSyncPipeline

    pipeline = LipSyncPipeline.from_bundle(arguments.model, device=arguments.device)
    options = LipSyncOptions(steps=arguments.steps, guidance=arguments.guidance, seed=arguments.seed)
    means = run_held_out_study(
        pipeline, arguments.data_dir, arguments.out_dir, arguments.pairs, options, min(60.0, arguments.seconds)
    )
    table = Table("measure", "mean")
    for name, value in means.items():
        table.add_row(name, f"{value:.3f}")
    Console().print(table)
    return 0
