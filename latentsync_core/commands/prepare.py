"""`prepare RAW_DIR OUT_DIR`: training clips from synchronous face clips."""

import argparse
import sys
from pathlib import Path


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser("prepare", help="align face clips listed in RAW_DIR/manifest.csv for training")
    parser.add_argument("raw_dir", metavar="RAW_DIR", type=Path)
    parser.add_argument("out_dir", metavar="OUT_DIR", type=Path)
    parser.set_defaults(run=run_prepare)


def run_prepare(arguments: argparse.Namespace) -> int:
    """Prepare what is missing and say how many clips came in and went out."""
    from latentsync_core.data_preparation.aligned_clips import prepare_clips

    counts = prepare_clips(arguments.raw_dir, arguments.out_dir)
    sys.stdout.write(", ".join(f"{number} {what}" for what, number in counts.items()) + "\n")
    return 0
