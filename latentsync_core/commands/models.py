"""`models list` and `models download NAME`: the model bundles."""

import argparse

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from latentsync_core.bundle_catalog import list_bundles

MIB = 2**20


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands."""
    parser = subparsers.add_parser("models", help="list the model bundles, or download one")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="what there is, and what is here already")
    listing.set_defaults(run=run_list)
    download = actions.add_parser("download", help="fetch a bundle into the cache")
    download.add_argument("name", metavar="NAME")
    download.set_defaults(run=run_download)


def run_list(arguments: argparse.Namespace) -> int:
    """Print the catalogue."""
    table = Table("name", "here", "size", "pixels", "steps", "what")
    for bundle in list_bundles():
        size = f"{bundle.download_bytes / MIB:.0f} MiB" if bundle.download_bytes else "-"
        here = "yes" if bundle.is_available else "no"
        table.add_row(bundle.name, here, size, str(bundle.resolution), str(bundle.default_steps), bundle.title)
    Console().print(table)
    return 0


def run_download(arguments: argparse.Namespace) -> int:
    """Fetch a bundle; the bar counts the bytes of all its files."""
    from latentsync_core.bundle import DownloadProgress, download_bundle  # here: loading torch takes seconds

    console = Console()
    with ProgressBar(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=console) as bar:
        task = bar.add_task(arguments.name, total=None)

        def show(progress: DownloadProgress) -> None:
            bar.update(task, description=progress.file, completed=progress.bytes_done, total=progress.bytes_total)

        download_bundle(arguments.name, on_progress=show)
    console.print(f"{arguments.name} is ready", highlight=False, markup=False)
    return 0
