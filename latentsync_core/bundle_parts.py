"""The frozen parts of a bundle, of either kind: autoencoder and audio encoder, each from a folder of its own.

A folder holds `config.json` and the weights beside it. Read are those of our bundles, those that our trainers leave,
and published ones: diffusers' AutoencoderKL (sd-vae-ft-mse), Hugging Face's Whisper and OpenAI's `tiny.pt`.
"""

from pathlib import Path
from typing import Any, TypeVar, cast

from diffusers import AutoencoderKL
from torch import nn

from latentsync_core.audio.audio_encoder import AudioEncoder
from latentsync_core.audio.mel_audio_encoder import MelAudioEncoder
from latentsync_core.audio.whisper_encoder import WhisperAudioEncoder, WhisperEncoderConfig
from latentsync_core.bundle_catalog import read_json
from latentsync_core.diffusion.latents import Autoencoder
from latentsync_core.errors import BadCheckpoint
from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder
from latentsync_core.models.checkpoint import load_strictly, read_state_dict

#: Names of a part's weights: a bundle's or transformers', diffusers', and diffusers' of old.
WEIGHTS = ("model.safetensors", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
#: Names of the attention parts in Stable Diffusion's first autoencoder files, and diffusers' present ones.
_OLD_VAE_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def load_autoencoder(config_file: Path, weights_file: Path | None = None) -> Autoencoder:
    """Read an AutoencoderKL or a SpaceToDepthAutoencoder: frozen, float32, on the CPU.

    Args:
        weights_file: None = the one beside the configuration.

    Raises:
        BadCheckpoint: if a file is missing, broken, or of another kind.
    """
    config = read_json(config_file)
    kinds = {"AutoencoderKL": AutoencoderKL, "SpaceToDepthAutoencoder": SpaceToDepthAutoencoder}
    vae = kind_of(config, kinds, config_file).from_config(config)
    weights_file = weights_file or find_weights(config_file.parent)
    weights = {_vae_name(key): value for key, value in read_state_dict(weights_file).items()}
    expected = vae.state_dict()
    for key, value in weights.items():  # attention was a 1x1 convolution once
        if key in expected and expected[key].ndim == 2 and value.ndim == 4:
            weights[key] = value[:, :, 0, 0]
    load_strictly(vae, weights, str(weights_file))
    return cast(Autoencoder, frozen(vae))


def load_audio_encoder(path: Path) -> AudioEncoder:
    """Read a MelAudioEncoder or a Whisper: frozen, float32, on the CPU.

    Args:
        path: of the folder, or of a whole Whisper in one file.

    Raises:
        BadCheckpoint: if a file is missing, broken, or of another kind.
    """
    if path.is_file():
        return frozen(WhisperAudioEncoder.from_file(path))
    config_file = path / "config.json"
    config = read_json(config_file)
    if config.get("model_type") == "whisper":  # Hugging Face's configuration
        return frozen(WhisperAudioEncoder.from_file(find_weights(path)))
    builders = {
        "WhisperAudioEncoder": lambda: WhisperAudioEncoder(WhisperEncoderConfig.from_dict(config)),
        "MelAudioEncoder": lambda: MelAudioEncoder.from_config(config),
    }
    encoder = kind_of(config, builders, config_file)()
    weights_file = find_weights(path)
    load_strictly(encoder, read_state_dict(weights_file), str(weights_file))
    return cast(AudioEncoder, frozen(encoder))


def find_weights(folder: Path) -> Path:
    """The file of a part's weights.

    Raises:
        BadCheckpoint: if there is none.
    """
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise BadCheckpoint(f"{folder}: holds no weights ({', '.join(WEIGHTS)})")


def kind_of(config: dict[str, Any], kinds: dict[str, Any], source: Path) -> Any:
    """Of `kinds` the one that a configuration names.

    Raises:
        BadCheckpoint: if it names another one.
    """
    name = config.get("_class_name")
    if name not in kinds:
        raise BadCheckpoint(f"{source}: _class_name is {name!r}, known are {', '.join(kinds)}")
    return kinds[name]


def _vae_name(key: str) -> str:
    """Translate one key of an old autoencoder file; new ones stay as they are."""
    parts = key.rsplit(".", 2)
    if len(parts) == 3 and ".attentions." in key and parts[1] in _OLD_VAE_NAMES:
        return f"{parts[0]}.{_OLD_VAE_NAMES[parts[1]]}.{parts[2]}"
    return key


NetworkT = TypeVar("NetworkT", bound=nn.Module)


def frozen(network: NetworkT) -> NetworkT:
    """The network in evaluation mode, without gradients."""
    return network.eval().requires_grad_(False)
