"""The memory plan: weights counted, activations as autograd keeps them."""

from itertools import chain

import pytest
import torch

from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder
from latentsync_core.models.unet import UNet3DConditionModel
from latentsync_core.models.unet_config import UNetConfig
from latentsync_core.training.memory_plan import GIB, MemoryPlan, activation_bytes, decoder_bytes, plan_memory
from tests.core.training.small_unet import MODEL

CPU = torch.device("cpu")
INPUTS = ((2, 13, 3, 8, 8), (2, 3, 10, 8))

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture
def unet() -> UNet3DConditionModel:
    torch.manual_seed(0)
    return UNet3DConditionModel(
        UNetConfig.from_dict({**MODEL, "use_motion_module": True, "motion_module_resolutions": (2,)})
    )


def really_saved(network, call) -> int:
    """Bytes of all memory that autograd holds after a true forward pass, weights left out."""
    weights = {tensor.untyped_storage().data_ptr() for tensor in chain(network.parameters(), network.buffers())}
    held = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            held[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        call()
    return sum(size for size, _ in held.values())


def test_activations_are_those_of_a_true_pass(unet):
    sample, audio = (torch.randn(shape) for shape in INPUTS)
    expected = really_saved(unet, lambda: unet(sample, torch.zeros(2), audio))
    estimated = activation_bytes(unet, INPUTS, torch.float32)
    assert estimated == pytest.approx(expected, rel=0.05)
    assert activation_bytes(unet, INPUTS, torch.bfloat16) < 0.7 * estimated
    assert unet.conv_in.weight.device == CPU  # it was a copy that went to the meta device


def test_the_decoders_are_too():
    torch.manual_seed(0)
    vae = SpaceToDepthAutoencoder(latent_channels=4, widths=(8, 8, 8), blocks=(1, 1, 1)).requires_grad_(False)
    latents = torch.randn(3, 4, 4, 4, requires_grad=True)
    expected = really_saved(vae, lambda: vae.decode(latents))
    assert decoder_bytes(vae, (3, 4, 4, 4)) == pytest.approx(expected, rel=0.05)
    assert decoder_bytes(vae, (0, 4, 4, 4)) == 0


def test_checkpointing_keeps_what_enters_the_layers_and_one_layers_own(unet):
    without = activation_bytes(unet, INPUTS, torch.float32)
    unet.set_gradient_checkpointing(True)
    with_it = activation_bytes(unet, INPUTS, torch.float32)
    assert 0 < with_it < 0.6 * without
    assert all(block.gradient_checkpointing for block in unet.down_blocks)


def test_only_what_learns_has_gradients_and_moments(unet):
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_("motion_modules" in name)
    weights = sum(parameter.numel() for parameter in unet.parameters())
    learning = sum(parameter.numel() for name, parameter in unet.named_parameters() if "motion_modules" in name)
    settings = {"precision": "bf16", "decoder_frames": 0, "vae": None, "device": CPU}
    plan = plan_memory(unet, INPUTS, with_ema=True, **settings)
    assert plan.parts["parameters"] == plan.parts["EMA"] == 4 * weights
    assert plan.parts["gradients"] == 4 * learning
    assert plan.parts["optimiser"] == 8 * learning
    assert plan.parts["weights in bf16"] == 2 * weights
    assert "EMA" not in plan_memory(unet, INPUTS, with_ema=False, **settings).parts
    assert plan.free > 0


def test_a_plan_that_does_not_fit_says_what_to_do():
    plan = MemoryPlan({"parameters": 2 * GIB, "gradients": GIB}, free=2 * GIB)
    assert "3.00 GiB of 2.00 GiB free" in plan.describe()
    assert "WARNING" in plan.describe()
    assert "gradient_checkpointing" in plan.describe()
    assert "WARNING" not in MemoryPlan({"parameters": GIB}, free=2 * GIB).describe()
