"""LipSyncOptions: everything a user may choose for one job. No torch here: web pages import it."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from latentsync_core.errors import BadOption

AudioLonger = Literal["ping-pong", "loop", "freeze", "cut"]
AudioShorter = Literal["cut", "pass"]
FaceBackend = Literal["mediapipe", "face-alignment"]

MAX_STEPS = 100
MAX_GUIDANCE = 10.0
MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class LipSyncOptions:
    """The user's choices for one job.

    Attributes:
        steps: denoising steps, 1..MAX_STEPS; None takes the bundle's default.
        guidance: classifier-free guidance scale, 0..MAX_GUIDANCE; at most 1 runs without guidance;
            None takes the bundle's default.
        seed: of the initial noise, 0..MAX_SEED; one seed on one machine gives the same frames.
        audio_longer: how the picture goes on when the sound is longer than the video.
        audio_shorter: "cut" ends the video with the sound, "pass" lets the rest through unchanged.
        face: None takes the largest track; an integer takes the face of that index on the first frame with a
            face (0 = the leftmost); a point (x, y), in pixels of the upright frame, takes the face nearest to it.
        face_backend: which landmark detector to use.
    """

    steps: int | None = None
    guidance: float | None = None
    seed: int = 1247
    audio_longer: AudioLonger = "ping-pong"
    audio_shorter: AudioShorter = "cut"
    face: int | tuple[float, float] | None = None
    face_backend: FaceBackend = "mediapipe"

    def __post_init__(self) -> None:
        if self.steps is not None:
            _check_range("steps", self.steps, 1, MAX_STEPS)
        if self.guidance is not None:
            _check_range("guidance", self.guidance, 0.0, MAX_GUIDANCE)
        _check_range("seed", self.seed, 0, MAX_SEED)
        _check_choice("audio_longer", self.audio_longer, get_args(AudioLonger))
        _check_choice("audio_shorter", self.audio_shorter, get_args(AudioShorter))
        _check_choice("face_backend", self.face_backend, get_args(FaceBackend))
        if isinstance(self.face, list):  # JSON knows no tuples
            object.__setattr__(self, "face", tuple(self.face))

    def to_dict(self) -> dict[str, Any]:
        """Give a JSON-ready dict; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "LipSyncOptions":
        """Read `to_dict`'s output.

        Raises:
            BadOption: for an unknown name or a value out of range.
        """
        unknown = values.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise BadOption(f"unknown option(s): {', '.join(sorted(unknown))}")
        return cls(**values)


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also refuses NaN
        raise BadOption(f"{name} must be between {low} and {high}, got {value}")


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BadOption(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
