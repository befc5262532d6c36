"""What a VideoMAE folder says of itself, without loading transformers."""

import json
from pathlib import Path

HOME_TRAINED = "home_trained"  # key of config.json


def is_home_trained(folder: Path) -> bool:
    """Whether `train-videomae` left the folder; False where there is none."""
    path = folder / "config.json"
    return path.is_file() and bool(json.loads(path.read_text(encoding="utf-8")).get(HOME_TRAINED))
