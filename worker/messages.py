"""What the queue process and the warm child say to each other: one JSON object per message."""

from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from latentsync_core.progress import Stage
from worker.job import LogLine


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class ChildConfig(_Message):
    """What the child must know to load models; given on its command line."""

    pipeline: str
    device: str
    model_cache_dir: str | None
    warm_models: int
    download_models: bool
    log_level: str


# --- to the child ---------------------------------------------------------------------------------------------------


class LoadModel(_Message):
    """Load a bundle now, so that the first job need not wait for it."""

    type: Literal["load"] = "load"
    model: str


class RunRequest(_Message):
    """One call of the pipeline's `run`.

    Attributes:
        model: bundle to use.
        video, audio: absolute paths of the inputs.
        out, report: absolute paths of what it shall write.
        work_dir: absolute path where segments are kept, by which a later run resumes.
        options: `LipSyncOptions.to_dict()`.
    """

    model: str
    video: Path
    audio: Path
    out: Path
    report: Path
    work_dir: Path
    options: dict[str, Any]


class StartRun(_Message):
    """Run the pipeline. `run` counts from 1 and names the run in all that is said about it."""

    type: Literal["start"] = "start"
    run: int
    request: RunRequest


class CancelRun(_Message):
    """Stop a run at the next step; finished segments stay."""

    type: Literal["cancel"] = "cancel"
    run: int


# --- from the child -------------------------------------------------------------------------------------------------


class Alive(_Message):
    """Once a second: the interpreter runs, these bundles are loaded."""

    type: Literal["alive"] = "alive"
    models: list[str] = Field(default_factory=list)


class Advanced(_Message):
    """A run got on; the fields of `latentsync_core.progress.Progress`, and a word on what a long stage does."""

    type: Literal["advanced"] = "advanced"
    run: int
    stage: Stage
    frames_done: int = 0
    frames_total: int = 0
    segments_done: int = 0
    detail: str | None = None


class Logged(_Message):
    """A log record of the child."""

    type: Literal["logged"] = "logged"
    line: LogLine


class Ended(_Message):
    """A run is over.

    Attributes:
        how: "broken" is an error after which the process cannot be trusted (out of memory, a CUDA fault).
        error: class name of the error.
        is_typed: True for a `LipSyncError`, whose message is meant for the user.
    """

    type: Literal["ended"] = "ended"
    run: int
    how: Literal["finished", "cancelled", "failed", "broken"]
    error: str | None = None
    is_typed: bool = False
    message: str | None = None
    traceback: str | None = None
    warnings: list[str] = Field(default_factory=list)


Message = Annotated[LoadModel | StartRun | CancelRun | Alive | Advanced | Logged | Ended, Field(discriminator="type")]
_ANY: TypeAdapter[Message] = TypeAdapter(Message)


def send(pipe: Connection, message: _Message) -> None:
    """Write one message. Raises OSError if the other side is gone."""
    pipe.send_bytes(message.model_dump_json().encode())


def receive(pipe: Connection) -> Message:
    """Wait for one message. Raises EOFError or OSError if the other side is gone."""
    return _ANY.validate_json(pipe.recv_bytes())
