"""All tensors of a network, taken and put back as they are.

`state_dict` is what a network wants to keep of itself: without buffers that are not persistent, and
as hooks of a package have changed it. A run that goes on, or a copy, needs the tensors themselves.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, what is shared under each of its names; no copies."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    buffers = dict(model.named_buffers(remove_duplicate=False))
    return {name: tensor.detach() for name, tensor in {**parameters, **buffers}.items()}


def copies_of(model: nn.Module) -> dict[str, Tensor]:
    """The same, copied: they stay as they are when the network learns."""
    return {name: tensor.clone() for name, tensor in tensors_of(model).items()}


def put_tensors(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Let a network have these. Raises KeyError and RuntimeError for those of another network."""
    with torch.no_grad():
        for name, tensor in tensors_of(model).items():
            tensor.copy_(tensors[name])
