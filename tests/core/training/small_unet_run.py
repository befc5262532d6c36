"""A U-Net's recipe with all that it names: clips of 256 px, an autoencoder, an audio encoder; steps take no time."""

import json
from pathlib import Path

import torch
import yaml

from latentsync_core.audio.mel_audio_encoder import MelAudioEncoder
from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder
from tests.conftest import REPOSITORY
from tests.core.training.small_clips import save_small_clips
from tests.core.training.small_unet import LATENTS_ONLY, MODEL, SCHEDULER


def write_recipe(folder: Path, held_out: tuple[str, ...] = (), frames: int = 9, **changes) -> Path:
    """Write the recipe and its parts; ann and ben are learnt from, the people of `held_out` (one clip each) are not."""
    torch.manual_seed(0)
    save_small_clips(folder / "faces", {"ann": 1, "ben": 1, **dict.fromkeys(held_out, 1)}, frames=frames)
    for person in held_out:
        path = folder / "faces" / f"{person}-0" / "meta.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "split": "val"}))
    vae = SpaceToDepthAutoencoder(latent_channels=4, widths=(8, 8, 8), blocks=(0, 0, 0), scaling_factor=0.5)
    vae.save_pretrained(folder / "vae")
    MelAudioEncoder(channels=4, dilations=(1,), num_shape_components=4).save_pretrained(folder / "audio")
    values = {
        "data_dir": str(folder / "faces"),
        "run_dir": str(folder / "run"),
        "vae_dir": str(folder / "vae"),
        "audio_encoder_dir": str(folder / "audio"),
        "mask_path": str(REPOSITORY / "models" / "mini" / "mask.png"),
        "cache_dir": str(folder / "cache"),
        "model": {**MODEL, "use_motion_module": True, "motion_module_resolutions": (2,)},
        "scheduler": SCHEDULER,
        "losses": LATENTS_ONLY,
        "frame_stride": 1,
        "window_frames": 4,
        "variants": 1,
        "batch_size": 2,
        "max_minutes": float("inf"),
        "warmup_steps": 3,
        "checkpoint_minutes": 1e9,
        **changes,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(values))))
    return path
