"""`evaluate`: measures of one result, a folder of pairs, systems on a benchmark, or a model on held-out people."""

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from latentsync_core.errors import BadOption
from latentsync_core.evaluation.pairs import PAIRS_FILE, Pair, System, read_pairs
from latentsync_core.evaluation.weights import ALL, DEFAULT_FOLDER, EvaluationWeights

FORMS = """TARGET is one of
  a video            one result; --source VIDEO, and --audio FILE if the source does not speak what the result says
  a job's folder     of the studio: result.mp4 and its inputs; OUT is evaluation/ in it unless given
  a folder           with pairs.csv: columns result, source, audio, and optionally driver, mode
  a definition       of a benchmark (.yaml, .json, or the name of one that ships: talking_faces_val, hdtf, voxceleb2)
                     with --results NAME=FOLDER for every method, and --generate MODEL to make ours
  a data set         with manifest.csv: the model's study of held-out people (--model, --pairs)
"""
DEFAULT_SECONDS = 60.0


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    files = "\n".join(f"  {file.name:24} {file.what}, {file.source}" for file in ALL)
    parser = subparsers.add_parser(
        "evaluate",
        help="measure one result, a folder of pairs, systems on a benchmark, or a model on held-out people",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"{FORMS}\nfiles in --weights DIR, each optional:\n{files}",
    )
    parser.add_argument("target", metavar="TARGET", type=Path, help="what is measured, see below")
    parser.add_argument("out_dir", metavar="OUT", type=Path, nargs="?", help="for figures, reports and the cache")
    parser.add_argument("--source", type=Path, help="of one result: the video whose lips were changed")
    parser.add_argument("--audio", type=Path, help="of one result: what it says (default: its own sound)")
    parser.add_argument("--driver", type=Path, help="of one result: video of whoever is heard, for the real mouth")
    parser.add_argument("--data", type=Path, help="of a benchmark: where its clips lie")
    parser.add_argument("--results", action="append", default=[], metavar="NAME=FOLDER", help="a method's videos")
    parser.add_argument("--generate", metavar="MODEL", help="make the benchmark's results with this model first")
    parser.add_argument("--weights", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="networks of the metrics")
    parser.add_argument("--syncnet", type=Path, metavar="DIR", help="a StableSyncNet elsewhere than in --weights")
    parser.add_argument("--vshift", type=int, default=15, help="frames that sync judges search (15; 10 is also usual)")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--seconds", type=float, help="of each clip at most (60; a benchmark has its own)")
    parser.add_argument("--model", default="mini", help="of the study")
    parser.add_argument("--pairs", type=int, default=12, help="of the study: cross-driven pairs")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--seed", type=int, default=1247)
    parser.set_defaults(run=run_evaluate)


def run_evaluate(arguments: argparse.Namespace) -> int:
    """Find out which form it is, and run it."""
    target: Path = arguments.target
    if (target / "manifest.csv").is_file():
        return _run_study(arguments)
    if (target / "result.mp4").is_file():
        return _run_job(arguments)
    if (target / PAIRS_FILE).is_file():
        pairs, system = read_pairs(target)
        return _evaluate(arguments, pairs, [system], target.resolve().name)
    if target.is_dir():
        raise BadOption(f"{target} holds neither pairs.csv nor manifest.csv nor result.mp4")
    if target.suffix in (".yaml", ".json") or not target.exists():
        return _run_benchmark(arguments)
    return _run_single(arguments)


def _run_single(arguments: argparse.Namespace) -> int:
    if arguments.source is None:
        raise BadOption("one result needs --source VIDEO, the video whose lips were changed")
    audio, driver = arguments.audio or arguments.target, arguments.driver
    own = audio.resolve() == arguments.source.resolve()
    pair = Pair(
        "reconstruction" if own else "cross_driven",
        arguments.target.stem,
        arguments.source,
        audio,
        arguments.source if own else driver,
    )
    system = System(arguments.target.name, "single", arguments.target)
    return _evaluate(arguments, [pair], [system], arguments.target.name, with_baselines=False)


def _run_job(arguments: argparse.Namespace) -> int:
    from latentsync_core.evaluation.job_inputs import pair_of_job

    pair, result = pair_of_job(arguments.target)
    arguments.out_dir = arguments.out_dir or arguments.target / "evaluation"
    system = System("result", "single", result)
    return _evaluate(arguments, [pair], [system], arguments.target.resolve().name, with_baselines=False)


def _run_benchmark(arguments: argparse.Namespace) -> int:
    from latentsync_core.evaluation.benchmark import read_benchmark

    benchmark = read_benchmark(arguments.target, arguments.data)
    arguments.seconds = arguments.seconds or benchmark.seconds
    systems = [_system(text) for text in arguments.results]
    if arguments.generate:
        systems.append(_generate(arguments, list(benchmark.pairs)))
    return _evaluate(
        arguments, list(benchmark.pairs), systems, benchmark.name, about=benchmark.about, published=benchmark.published
    )


def _system(text: str) -> System:
    name, separator, folder = text.partition("=")
    path = Path(folder if separator else text)
    if not path.is_dir():
        raise BadOption(f"--results {text}: {path} is no folder")
    return System(name if separator else path.resolve().name, "results", path)


def _generate(arguments: argparse.Namespace, pairs: list[Pair]) -> System:
    from latentsync_core.commands.quiet import native_stderr_silenced
    from latentsync_core.evaluation.generate import generate_results
    from latentsync_core.options import LipSyncOptions

    name = Path(arguments.generate).name
    folder = _out_dir(arguments) / "results" / name
    options = LipSyncOptions(steps=arguments.steps, guidance=arguments.guidance, seed=arguments.seed)
    with native_stderr_silenced(), _progress("generating") as on_done:
        generate_results(arguments.generate, arguments.device, pairs, folder, options, arguments.seconds, on_done)
    return System(name, "results", folder)


def _evaluate(
    arguments: argparse.Namespace, pairs: list[Pair], systems: list[System], title: str, **choices: Any
) -> int:
    from rich.console import Console
    from rich.table import Table

    from latentsync_core.commands.quiet import native_stderr_silenced
    from latentsync_core.evaluation.evaluate import evaluate_systems
    from latentsync_core.evaluation.run_pairs import RunSettings
    from latentsync_core.evaluation.tables import mode_tables, notes

    weights = EvaluationWeights(arguments.weights, arguments.syncnet)
    settings = RunSettings(arguments.seconds or DEFAULT_SECONDS, arguments.vshift, weights)
    out_dir = _out_dir(arguments)
    with native_stderr_silenced(), _progress("measuring") as on_done:
        results = evaluate_systems(
            pairs,
            systems,
            out_dir,
            settings,
            title=title,
            command=f"python -m latentsync_core {shlex.join(sys.argv[1:])}",
            workers=arguments.workers,
            on_done=on_done,
            **choices,
        )
    console = Console()
    for name, head, rows in mode_tables(results):
        table = Table(*head, title=name)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for line in [*notes(results), f"Reports: {out_dir}/report.html, report.md, results.json"]:
        console.print(line, markup=False)
    return 0


def _out_dir(arguments: argparse.Namespace) -> Path:
    if arguments.out_dir is None:
        raise BadOption("where shall the figures go? Give OUT after TARGET")
    out_dir: Path = arguments.out_dir
    return out_dir


@contextmanager
def _progress(words: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on the terminal; gives the callback (done, total) that moves it."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(words, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _run_study(arguments: argparse.Namespace) -> int:
    """Run the study and show the means."""
    from rich.console import Console
    from rich.table import Table

    from latentsync_core.evaluation.held_out_study import run_held_out_study
    from latentsync_core.options import LipSyncOptions
    from latentsync_core.pipeline import LipSyncPipeline

    pipeline = LipSyncPipeline.from_bundle(arguments.model, device=arguments.device)
    options = LipSyncOptions(steps=arguments.steps, guidance=arguments.guidance, seed=arguments.seed)
    seconds = min(DEFAULT_SECONDS, arguments.seconds or DEFAULT_SECONDS)
    means = run_held_out_study(pipeline, arguments.target, _out_dir(arguments), arguments.pairs, options, seconds)
    table = Table("measure", "mean")
    for name, value in means.items():
        table.add_row(name, f"{value:.3f}")
    Console().print(table)
    return 0
