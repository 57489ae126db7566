"""UNETR on volumes of other sizes than it was built for."""

from __future__ import annotations

import torch
from monai.networks.nets.unetr import UNETR
from torch import nn
from torch.func import functional_call

from myosweep.networks.modules.linear_resize import linear_resize

_POSITIONS = "vit.patch_embedding.position_embeddings"


class AnySizeUNETR(nn.Module):
    """MONAI's UNETR, its embeddings of positions interpolated linearly where the volume has another size.

    Dosovitskiy et al. (2021), section 3.2, do so for images.

    Parameters
    ----------
    network
        Built for a size that is a multiple of its patches.
    """

    def __init__(self, network: UNETR) -> None:
        super().__init__()
        self.network = network

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """Map (case, channel, z, y, x), multiples of the patches, to logits (case, class, z, y, x)."""
        network = self.network
        lattice = [size // patch for size, patch in zip(channels.shape[2:], network.patch_size, strict=True)]
        network.proj_view_shape = [*lattice, network.hidden_size]
        own = dict(network.named_parameters())[_POSITIONS]
        trained = own.transpose(1, 2).reshape(1, network.hidden_size, *network.feat_size)
        positions = linear_resize(trained, lattice).flatten(2).transpose(1, 2)
        result: torch.Tensor = functional_call(network, {_POSITIONS: positions}, (channels,))
        return result
