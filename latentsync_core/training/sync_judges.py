"""SyncNets that judge what a U-Net generates. They teach nothing, so their word counts where the supervisor's cannot.

A network that was trained against a SyncNet pleases that one first. Runs with different supervision (the paper's study
of it) are compared by a third SyncNet, or each by the one that did not supervise it.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from latentsync_core.audio.mel import cut_mel_window
from latentsync_core.errors import BadOption
from latentsync_core.training.losses.sync_loss import sync_loss
from latentsync_core.training.syncnet_model import load_syncnet


class SyncJudge:
    """One SyncNet; sees windows of its own length within those that it is shown.

    Raises:
        BadCheckpoint: if the folder does not hold one.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        network, self._config = load_syncnet(folder)
        self._network, self._device = network.to(device), device
        self.num_frames: int = self._config["num_frames"]

    @torch.no_grad()
    def loss(self, frames: Tensor, latents: Tensor, mel: Tensor, first: int) -> float:
        """How far lips are from their sound, see `sync_loss`: the mean over windows side by side.

        Args:
            frames: (1, 3, F, R, R) whole aligned faces in [-1, 1].
            latents: (1, C, F, h, w) of them, for a SyncNet of latents.
            mel: (80, T) of the whole clip.
            first: number of the first frame in the clip.
        """
        is_latent = self._config["space"] == "latent"
        seen = latents if is_latent else frames
        resolution = latents.shape[-1] if is_latent else self._config["resolution"]
        losses = []
        for start in range(0, seen.shape[2] - self.num_frames + 1, self.num_frames):
            heard = cut_mel_window(mel, first + start, self.num_frames)
            assert heard is not None  # the mel reaches past the last picture
            part = seen[:, :, start : start + self.num_frames]
            heard = heard[None, None].to(self._device)
            losses.append(sync_loss(self._network, part.to(self._device), heard, resolution).item())
        return sum(losses) / len(losses)


def load_judges(folders: Mapping[str, str], window_frames: int, device: torch.device) -> dict[str, SyncJudge]:
    """The judges by name.

    Raises:
        BadCheckpoint: if a folder does not hold a SyncNet.
        BadOption: if one takes longer windows than there are.
    """
    judges = {name: SyncJudge(Path(folder), device) for name, folder in folders.items()}
    for name, judge in judges.items():
        if judge.num_frames > window_frames:
            raise BadOption(
                f"validation.judges.{name} takes {judge.num_frames} frames, window_frames is {window_frames}"
            )
    return judges
