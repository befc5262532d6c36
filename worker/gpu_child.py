"""The warm child: holds the loaded pipelines and runs one job after the other.

Started by `gpu_process.py` as `python -m worker.gpu_child PIPE CONFIG`. It is the only process of the service that
loads torch. It dies with its parent: by the kernel's parent-death signal, and by the end of the pipe.
"""

import contextlib
import ctypes
import faulthandler
import gc
import importlib
import logging
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections import OrderedDict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from latentsync_core.bundle_catalog import OFFICIAL_BUNDLES
from latentsync_core.errors import Cancelled, LipSyncError
from latentsync_core.options import LipSyncOptions
from latentsync_core.progress import Progress
from worker.log_lines import line_of, set_levels
from worker.messages import Advanced, Alive, CancelRun, ChildConfig, Ended, LoadModel, Logged, StartRun, receive, send
from worker.settings import MIB

logger = logging.getLogger("worker.gpu_child")

ALIVE_SECONDS = 1.0
ADVANCED_SECONDS = 0.1  # between two reports of the same stage and segment
PR_SET_PDEATHSIG = 1  # linux/prctl.h
#: Errors after which the CUDA context, or the heap, is not worth keeping.
BREAKING_ERRORS = {"OutOfMemoryError", "MemoryError", "AcceleratorError"}


class Child:
    """Serves the messages of one parent until the parent goes."""

    def __init__(self, pipe: Connection, config: ChildConfig) -> None:
        self._pipe = pipe
        self._config = config
        self._cache_dir = Path(config.model_cache_dir) if config.model_cache_dir else None
        self._send_lock = threading.Lock()
        self._inbox: queue.Queue[LoadModel | StartRun] = queue.Queue()
        self._cancelled_up_to = 0  # runs up to this number shall stop
        self._pipelines: OrderedDict[str, Any] = OrderedDict()  # the last used is the last
        self._last_advance = (0.0, Progress("load"))

    def serve(self) -> None:
        """Work until killed."""
        threading.Thread(target=self._listen, daemon=True, name="listen").start()
        threading.Thread(target=self._stay_alive, daemon=True, name="alive").start()
        while True:
            message = self._inbox.get()
            if isinstance(message, LoadModel):
                self._preload(message.model)
            else:
                self.say(self._run(message))

    def say(self, message: Any) -> None:
        """Tell the parent; threads may call this."""
        with self._send_lock:
            send(self._pipe, message)

    # --- threads ------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        while True:
            try:
                message = receive(self._pipe)
            except (EOFError, OSError):
                _die()
            if isinstance(message, CancelRun):
                self._cancelled_up_to = max(self._cancelled_up_to, message.run)
            elif isinstance(message, LoadModel | StartRun):
                self._inbox.put(message)

    def _stay_alive(self) -> None:
        while True:
            try:
                self.say(Alive(models=list(self._pipelines)))
            except OSError:
                _die()
            time.sleep(ALIVE_SECONDS)

    # --- runs ---------------------------------------------------------------------------------------------------

    def _run(self, start: StartRun) -> Ended:
        request = start.request
        try:
            self._advance(start.run, Progress("load"))
            self._download(request.model, start.run)
            pipeline = self._pipeline(request.model)
            self._advance(start.run, Progress("load"))  # a cancel may have come meanwhile
            report = pipeline.run(
                request.video,
                request.audio,
                request.out,
                LipSyncOptions.from_dict(request.options),
                work_dir=request.work_dir,
                on_progress=lambda progress: self._advance(start.run, progress),
            )
            report.write(request.report)
        except Cancelled:
            return Ended(run=start.run, how="cancelled")
        except Exception as error:  # noqa: BLE001 - the edge of the process: everything becomes a message
            return _ended_by(error, start.run)
        return Ended(run=start.run, how="finished", warnings=list(report.warnings))

    def _advance(self, run: int, progress: Progress, detail: str | None = None) -> None:
        """Stop a cancelled run, else report; the pipeline calls this at every step."""
        if run <= self._cancelled_up_to:
            raise Cancelled("The job was cancelled.")
        now = time.monotonic()
        then, before = self._last_advance
        is_news = (progress.stage, progress.segments_done) != (before.stage, before.segments_done)
        if not is_news and now - then < ADVANCED_SECONDS and progress.frames_done < progress.frames_total:
            return
        self._last_advance = (now, progress)
        self.say(
            Advanced(
                run=run,
                stage=progress.stage,
                frames_done=progress.frames_done,
                frames_total=progress.frames_total,
                segments_done=progress.segments_done,
                detail=detail,
            )
        )

    def _download(self, model: str, run: int) -> None:
        """Fetch a published bundle that is not on this machine yet; a cancelled download goes on another time."""
        if not self._config.download_models or model not in OFFICIAL_BUNDLES:
            return
        from latentsync_core.bundle_download import DownloadProgress, download_bundle  # loads the hub's client

        def tell(progress: DownloadProgress) -> None:
            done, total = progress.bytes_done / MIB, progress.bytes_total / MIB
            self._advance(run, Progress("load"), f"downloading {model}: {done:.0f} of {total:.0f} MiB")

        download_bundle(model, self._cache_dir, tell)

    def _preload(self, model: str) -> None:
        try:
            self._pipeline(model)
        except Exception:
            logger.warning("cannot load %s in advance", model, exc_info=True)

    def _pipeline(self, model: str) -> Any:
        """Give the bundle's pipeline, loaded; forget the one that was not used for longest if there are too many."""
        if model in self._pipelines:
            self._pipelines.move_to_end(model)
            return self._pipelines[model]
        while len(self._pipelines) >= self._config.warm_models:
            self._pipelines.popitem(last=False)
            _free_memory()
        began = time.monotonic()
        module, _, name = self._config.pipeline.partition(":")
        pipeline_class = getattr(importlib.import_module(module), name)
        pipeline = pipeline_class.from_bundle(model, device=self._config.device, cache_dir=self._cache_dir)
        self._pipelines[model] = pipeline
        logger.info("loaded %s in %.1f s", model, time.monotonic() - began)
        return pipeline


class _ParentHandler(logging.Handler):
    """Log records go to the parent, which knows of which job they are."""

    def __init__(self, child: Child) -> None:
        super().__init__()
        self._child = child

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # the parent is gone; `_listen` ends the process
            self._child.say(Logged(line=line_of(record)))


def _ended_by(error: Exception, run: int) -> Ended:
    name = type(error).__name__
    is_broken = name in BREAKING_ERRORS or "CUDA error" in str(error)
    return Ended(
        run=run,
        how="broken" if is_broken else "failed",
        error=name,
        is_typed=isinstance(error, LipSyncError),
        message=str(error),
        traceback=traceback.format_exc(),
    )


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _die() -> None:
    """End at once, with the ffmpeg processes of this child (it leads a process group of its own)."""
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, also by SIGKILL (Linux; else the pipe's end does it)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        _die()


def main(pipe_number: str, parent: str, config: str) -> None:
    """Entry of the child process."""
    _die_with_parent(int(parent))
    os.set_inheritable(int(pipe_number), False)  # not for the ffmpeg processes
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    child_config = ChildConfig.model_validate_json(config)
    child = Child(Connection(int(pipe_number)), child_config)
    logging.getLogger().addHandler(_ParentHandler(child))
    set_levels(child_config.log_level)
    child.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
