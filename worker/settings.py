"""Settings: all that a deployment may change, read from the environment (prefix LIPSYNC_) or a `.env` file."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from latentsync_core.media.probe import MediaLimits

MIB = 2**20
GIB = 2**30


class Settings(BaseSettings):
    """One deployment. Every field is an environment variable: `redis_url` is `LIPSYNC_REDIS_URL`.

    Sizes are bytes, times are seconds unless the name says days.
    """

    model_config = SettingsConfigDict(env_prefix="LIPSYNC_", env_file=".env", extra="ignore", frozen=True)

    # where things are
    redis_url: str = "redis://127.0.0.1:6379/0"  # also unix:///path/redis.sock and rediss://
    queue_name: str = Field(default="lipsync", pattern=r"^[A-Za-z0-9_-]+$")
    data_dir: Path = Path("jobs")  # one folder per job; the web page and the workers share it
    runs_dir: Path = Path("runs")  # of the trainers, which the page Training shows
    evaluations_dir: Path = Path("evaluations")  # tables of `evaluate`, which the page Evaluation shows
    evaluation_weights: Path = Path("models/evaluation")  # networks of the measures, each optional
    model_cache_dir: Path | None = None  # None: the library's own default

    # the model
    default_model: str = "mini"
    device: str = "auto"  # auto, cpu, cuda, cuda:1 ...
    warm_models: int = Field(default=1, ge=1)  # pipelines kept loaded at a time
    preload: bool = True  # load the default model when the worker starts, not with the first job
    download_models: bool = True  # fetch a published bundle when the first job asks for it
    pipeline: str = "latentsync_core:LipSyncPipeline"  # "module:class" that the child process runs

    # what is accepted (the page states these, the disk enforces them)
    max_upload_bytes: int = Field(default=500 * MIB, gt=0)  # per file
    max_seconds: float = Field(default=600.0, gt=0)  # of video or audio
    max_pixels: int = Field(default=4096 * 2304, gt=0)  # width x height of a video frame
    max_queued_jobs: int = Field(default=5, ge=1)  # queued or running, per owner
    max_owner_bytes: int = Field(default=5 * GIB, gt=0)  # all job folders of one owner
    max_total_bytes: int = Field(default=50 * GIB, gt=0)  # all job folders
    min_free_bytes: int = Field(default=1 * GIB, ge=0)  # of the disk, below which no upload is taken

    evaluation_seconds: float = Field(default=60.0, gt=0)  # of a job's result that its evaluation looks at

    # how long things are kept
    retention_days: float = Field(default=7.0, gt=0)  # after a job ended
    draft_hours: float = Field(default=6.0, gt=0)  # uploads that no job was made of
    sweep_interval: float = Field(default=900.0, gt=0)  # a worker sweeps this often

    # patience
    cancel_grace: float = Field(default=1.8, gt=0)  # for the child to obey before it is killed
    child_start_timeout: float = Field(default=120.0, gt=0)  # until the child says it is there
    child_silence_timeout: float = Field(default=120.0, gt=0)  # without a heartbeat: the child hangs
    stall_timeout: float = Field(default=300.0, gt=0)  # without progress in one stage
    load_timeout: float = Field(default=3600.0, gt=0)  # without progress in the load stage (downloads)
    timeout_base: float = Field(default=900.0, gt=0)  # whole job: base + frames x (fixed + steps x per step)
    timeout_per_frame: float = Field(default=2.0, gt=0)
    timeout_per_frame_step_cpu: float = Field(default=2.0, gt=0)
    timeout_per_frame_step_cuda: float = Field(default=0.2, gt=0)
    evaluation_timeout: float = Field(default=1800.0, gt=0)  # of one job's evaluation
    max_crashes: int = Field(default=3, ge=1)  # of the child without a new finished segment between them
    lease_seconds: float = Field(default=10.0, ge=1)  # a worker silent for so long has lost its job

    # sharing through a tunnel (ngrok)
    ngrok_auth_token: SecretStr | None = None
    ngrok_program: Path | None = None  # None: pyngrok's own copy, downloaded on first use

    # what is said
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["human", "json"] = "human"  # on stdout; files and Redis always hold JSON
    log_stream_cap: int = Field(default=10_000, ge=100)  # lines of all jobs kept in Redis
    log_job_cap: int = Field(default=2_000, ge=50)  # lines of one job kept in Redis

    @property
    def media_limits(self) -> MediaLimits:
        """The limits in the form in which `probe_media` checks them."""
        return MediaLimits(max_bytes=self.max_upload_bytes, max_seconds=self.max_seconds, max_pixels=self.max_pixels)
