"""How model.safetensors came about: Google's network, as openWakeWord's wheel brings it. No part of the product.

pip download --no-deps openwakeword==0.4.0 && unzip openwakeword-0.4.0-*.whl
pip install onnx==1.16.2
PYTHONPATH=. python models/speech_embedding/convert.py openwakeword/resources/models/embedding_model.onnx
"""

import sys
from pathlib import Path

import onnx
import torch
from safetensors.torch import save_file
from torch import Tensor

from latentsync_core.audio.speech_embedding import SpeechEmbedding
from latentsync_core.models.checkpoint import load_strictly

OUT = Path(__file__).resolve().parent / "model.safetensors"
LAYERS = ["stages.0"] + [f"stages.{stage}.{layer}" for stage in range(1, 5) for layer in range(2)]


def read_onnx(path: Path) -> dict[str, Tensor]:
    """The network's weights, by our names."""
    graph = onnx.load(path).graph
    found = {one.name: torch.from_numpy(onnx.numpy_helper.to_array(one).copy()) for one in graph.initializer}
    weights = {"first.weight": next(value for name, value in found.items() if name.startswith("model/conv2d/"))}
    norm = next(node for node in graph.node if node.op_type == "BatchNormalization")  # after a ReLU: not folded in
    gain, bias, mean, variance = (found[name] for name in norm.input[1:])
    scale = gain / torch.sqrt(variance + norm.attribute[0].f)
    weights["first_scale"] = scale[:, None, None]
    weights["first_shift"] = (bias - mean * scale)[:, None, None]
    convolutions = [f"{layer}.{part}" for layer in LAYERS for part in ("bands", "time")]
    for number, name in enumerate(convolutions, start=1):
        weights[f"{name}.weight"] = found[f"model/conv2d_{number}/Conv2D_weights_fused_bn"]
        weights[f"{name}.bias"] = found[f"model/conv2d_{number}/Conv2D_bias_fused_bn"]
    return weights


if __name__ == "__main__":
    network = SpeechEmbedding()
    load_strictly(network, read_onnx(Path(sys.argv[1])), sys.argv[1])
    save_file(network.state_dict(), OUT)
