"""How much memory a U-Net's step will take, before the first one: weights are counted, activations are measured.

Activations are what autograd keeps for the backward pass. They are counted in a forward pass on torch's meta device,
which has shapes but no numbers, so the estimate costs neither memory nor much time. Not in it: what convolutions borrow
for themselves, the losses' own networks and the discriminator at work, and what the allocator wastes.
"""

import copy
from dataclasses import dataclass
from typing import Any, cast

import psutil
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from latentsync_core.diffusion.latents import Autoencoder, decode_latents
from latentsync_core.models.unet import UNet3DConditionModel
from latentsync_core.models.unet_blocks import UNetBlock
from latentsync_core.training.devices import DTYPES

GIB = 2**30
BYTES_PER_WEIGHT = 4  # float32


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes by what they are for, and the bytes that are free before any of it is there."""

    parts: dict[str, int]
    free: int

    @property
    def total(self) -> int:
        """All parts, bytes."""
        return sum(self.parts.values())

    def describe(self) -> str:
        """A line for each part, and one that compares the sum with what is free."""
        lines = [f"{name:<24}{size / GIB:8.2f} GiB" for name, size in self.parts.items()]
        verdict = f"{'memory plan, in all':<24}{self.total / GIB:8.2f} GiB of {self.free / GIB:.2f} GiB free"
        if self.total > self.free:
            verdict += (
                "\nWARNING: that is too much. Take gradient_checkpointing, a smaller batch_size with more "
                "batches_per_step, or fewer trainable parameters."
            )
        return "\n".join([*lines, verdict])


def plan_memory(
    unet: UNet3DConditionModel,
    inputs: tuple[tuple[int, ...], tuple[int, ...]],
    *,
    precision: str,
    with_ema: bool,
    decoder_frames: int,
    vae: Autoencoder,
    device: torch.device,
) -> MemoryPlan:
    """Plan the memory of a training step with AdamW.

    Args:
        unet: as it will be trained: its trainable parameters chosen, gradient checkpointing switched.
        inputs: shapes of the U-Net's input (B, C, F, h, w) and audio tokens (B, F, S, D).
        precision: of the arithmetic.
        with_ema: whether averaged weights are kept.
        decoder_frames: that are decoded at once, with their activations kept; 0 = none.
        vae: the decoder.
        device: whose free memory is compared, where the frozen networks are already; a CPU's is the machine's.
    """
    weights = sum(parameter.numel() for parameter in unet.parameters())
    trainable = sum(parameter.numel() for parameter in unet.parameters() if parameter.requires_grad)
    copies = 0 if precision == "fp32" else weights * DTYPES[precision].itemsize
    parts = {
        "parameters": weights * BYTES_PER_WEIGHT,
        "gradients": trainable * BYTES_PER_WEIGHT,
        "optimiser": 2 * trainable * BYTES_PER_WEIGHT,
        "EMA": weights * BYTES_PER_WEIGHT if with_ema else 0,
        "weights in " + precision: copies,
        "activations (estimate)": activation_bytes(unet, inputs, DTYPES[precision]),
        "decoder's (estimate)": decoder_bytes(vae, (decoder_frames, *_one_latent(unet, inputs))),
    }
    return MemoryPlan({name: size for name, size in parts.items() if size}, free_bytes(device))


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device now."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)


def activation_bytes(
    unet: UNet3DConditionModel, inputs: tuple[tuple[int, ...], tuple[int, ...]], dtype: torch.dtype
) -> int:
    """Bytes that a forward pass keeps for the backward pass, the weights not counted.

    With gradient checkpointing that is what enters the layers, and once all that the greediest of them keeps.
    """
    network = copy.deepcopy(unet).to("meta", dtype)
    is_checkpointed = any(block.gradient_checkpointing for block in network.modules() if isinstance(block, UNetBlock))
    network.set_gradient_checkpointing(False)  # the layers are looked into one by one
    counter = _SavedBytes(network)
    blocks = [block for block in network.modules() if isinstance(block, UNetBlock)] if is_checkpointed else []
    for block in blocks:
        for group in (block.resnets, block.attentions, block.motion_modules):
            for layer in group or ():
                counter.watch(layer)
    sample, audio = (torch.empty(shape, device="meta", dtype=dtype) for shape in inputs)
    with torch.autograd.graph.saved_tensors_hooks(counter.pack, lambda saved: saved):
        network(sample, torch.zeros(len(sample), device="meta", dtype=torch.long), audio)
    return counter.outside + counter.entering + counter.most_inside


def decoder_bytes(vae: Autoencoder, latents: tuple[int, ...]) -> int:
    """Bytes that decoding latents (N, C, h, w) keeps for the backward pass, the weights not counted."""
    if latents[0] == 0:
        return 0
    network = copy.deepcopy(cast(nn.Module, vae)).to("meta")
    counter = _SavedBytes(network)
    with torch.autograd.graph.saved_tensors_hooks(counter.pack, lambda saved: saved):
        decode_latents(cast(Autoencoder, network), torch.empty(latents, device="meta", requires_grad=True))
    return counter.outside


def _one_latent(unet: UNet3DConditionModel, inputs: tuple[tuple[int, ...], tuple[int, ...]]) -> tuple[int, ...]:
    return unet.config.out_channels, *inputs[0][-2:]


class _SavedBytes:
    """Counts what autograd saves, every storage once, within and outside the watched layers."""

    def __init__(self, network: nn.Module) -> None:
        self._seen = {StorageWeakRef(tensor.untyped_storage()) for tensor in network.state_dict().values()}
        self._kept: list[Tensor] = []  # so that no storage is freed, and its mark taken by another
        self._before: list[int] = []
        self._saved = self._inside = 0
        self.entering = self.most_inside = 0

    @property
    def outside(self) -> int:
        """Bytes saved outside the watched layers."""
        return self._saved - self._inside

    def pack(self, tensor: Tensor) -> Tensor:
        """The hook of autograd."""
        storage = StorageWeakRef(tensor.untyped_storage())
        if storage not in self._seen:
            self._seen.add(storage)
            self._kept.append(tensor)
            self._saved += tensor.untyped_storage().nbytes()
        return tensor

    def watch(self, layer: nn.Module) -> None:
        """Count what enters a layer and what it saves itself."""
        layer.register_forward_pre_hook(self._enter)
        layer.register_forward_hook(self._leave)

    def _enter(self, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        hidden = inputs[0]
        self.entering += hidden.numel() * hidden.element_size()
        self._before.append(self._saved)

    def _leave(self, layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        inside = self._saved - self._before.pop()
        self._inside += inside
        self.most_inside = max(self.most_inside, inside)
