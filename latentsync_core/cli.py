"""The command line: `python -m latentsync_core COMMAND`.

Commands live with what they start: each of the modules in COMMAND_MODULES has `register(subparsers)`, which adds its
commands and sets `run`, a function of the parsed arguments that gives the exit code. A command's heavy imports belong
inside `run`, so that `--help` answers at once.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib import import_module

from latentsync_core.errors import Cancelled, LipSyncError

COMMAND_MODULES = (
    "latentsync_core.commands.lipsync",
    "latentsync_core.commands.models",
    "latentsync_core.commands.prepare",
    "latentsync_core.commands.train",
    "latentsync_core.commands.ablate",
    "latentsync_core.commands.evaluate",
)
FAILED, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give the exit code: 0, 2 for an error a user can act on, 130 for Ctrl-C."""
    parser = build_parser()
    parsed = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if parsed.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        code: int = parsed.run(parsed)
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        return INTERRUPTED
    except Cancelled:
        sys.stderr.write("\ncancelled\n")
        return INTERRUPTED
    except LipSyncError as error:
        sys.stderr.write(f"error: {error}\n")
        return FAILED
    return code


def build_parser() -> argparse.ArgumentParser:
    """Put the parser together from all commands."""
    parser = argparse.ArgumentParser(
        prog="latentsync_core", description="Lip-sync videos; train and measure the models."
    )
    parser.add_argument("--verbose", action="store_true", help="log what is done, to stderr")
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in COMMAND_MODULES:
        import_module(module).register(subparsers)
    return parser
