"""`ablate STUDY.yaml OUT_DIR [--set key=value ...] [--only VARIANT ...]`: the variants of a study.

`study-report PAGE.md STUDY_DIR ...`: several studies as one page.
"""

import argparse
import sys
from pathlib import Path


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands."""
    parser = subparsers.add_parser(
        "ablate",
        help="train the variants of a study and compare them",
        description="Trains each variant in a folder of its own below OUT_DIR and writes study.png and study.md. "
        "Started again, it leaves finished variants alone and goes on with the others. See docs/train.md.",
    )
    parser.add_argument("study", metavar="STUDY.yaml", type=Path)
    parser.add_argument("out_dir", metavar="OUT_DIR", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of all variants")
    parser.add_argument("--only", action="append", metavar="VARIANT", help="train this one (may be given repeatedly)")
    parser.set_defaults(run=run_ablate)
    parser = subparsers.add_parser(
        "study-report",
        help="put several studies on one page",
        description="Writes PAGE.md with table, chart and finding of each study; the charts into a folder beside it.",
    )
    parser.add_argument("page", metavar="PAGE.md", type=Path)
    parser.add_argument("studies", metavar="STUDY_DIR", nargs="+", type=Path, help="an OUT_DIR of `ablate`")
    parser.set_defaults(run=run_study_report)


def run_ablate(arguments: argparse.Namespace) -> int:
    """Run a study."""
    from latentsync_core.training.ablate import CHART, TABLE, ablate

    def tell(name: str, what: str) -> None:
        sys.stdout.write(f"{name}: {what}\n")
        sys.stdout.flush()

    ablate(arguments.study, arguments.out_dir, arguments.set, arguments.only, tell)
    sys.stdout.write(f"{arguments.out_dir / TABLE}\n{arguments.out_dir / CHART}\n")
    return 0


def run_study_report(arguments: argparse.Namespace) -> int:
    """Write the page."""
    from latentsync_core.training.study_report import write_report

    write_report(arguments.studies, arguments.page)
    sys.stdout.write(f"{arguments.page}\n")
    return 0
