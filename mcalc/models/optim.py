"""Learn-rate and L2 factors of layers, as MATLAB has them, in PyTorch's parameter groups.

MATLAB (`trainingOptions('sgdm')` and each layer's WeightLearnRateFactor, BiasLearnRateFactor,
WeightL2Factor, BiasL2Factor): a parameter's rate is InitialLearnRate x its learn-rate factor, its
decay L2Regularization x its L2 factor, and a step is

    v = momentum * v - rate * (gradient + decay * w);  w = w + v

PyTorch's SGD keeps `v / -rate` instead; at a rate that never changes, as here, both give one w.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mcalc.config import BackboneConfig, HeadConfig
from mcalc.errors import UserError
from mcalc.models.stages import Stages

_NORMALISATIONS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm)

_FUSED_DEVICES = frozenset({"cpu", "cuda"})
"""Where PyTorch's fused step is taken: several times faster on a CPU. It repeats to the last bit;
against the plain loop the last few elements of a tensor may differ in theirs."""


class ParameterGroup(TypedDict):
    """Parameters of one rate and decay, as torch.optim takes them."""

    name: str
    """`backbone.weight`, `backbone.bias`, `backbone.norm`, `head.weight` or `head.bias`."""
    params: list[nn.Parameter]
    lr: float
    weight_decay: float


def parameter_groups(
    model: nn.Module,
    head: nn.Module,
    backbone: BackboneConfig,
    head_factors: HeadConfig,
    lr: float,
    l2: float,
    stages: Stages,
) -> list[ParameterGroup]:
    """Every parameter of a network in the group of its rate and decay.

    With `backbone.lr_decay` other than 1, each stage has groups of its own.

    `backbone.norm` holds scale and offset of normalisation layers. Both take the factors of
    weights, which by default are the 1 and 1 of MATLAB's batchNormalizationLayer, and not the bias
    factors: pretrained biases learn at twice the rate because Caffe's convolutions did. So
    `backbone.weight_lr=0` with `backbone.bias_lr=0` freezes every parameter below the head.

    A parameter whose rate comes to 0 is frozen: it no longer asks for a gradient and is in no
    group. Groups without parameters are not returned.

    Args:
        model: the network; parameters of rate 0 are frozen in place.
        head: the new last layer, a part of model.
        backbone: factors of what lies below the head.
        head_factors: factors of the head.
        lr: InitialLearnRate, above 0.
        l2: L2Regularization, 0 or more.
        stages: factors by stage.

    Raises UserError when every factor is 0 and nothing would learn.
    """
    factors = {
        "backbone.weight": (backbone.weight_lr, backbone.weight_l2),
        "backbone.bias": (backbone.bias_lr, backbone.bias_l2),
        "backbone.norm": (backbone.weight_lr, backbone.weight_l2),
        "head.weight": (head_factors.weight_lr, head_factors.weight_l2),
        "head.bias": (head_factors.bias_lr, head_factors.bias_l2),
    }
    members: dict[str, dict[float, list[nn.Parameter]]] = {kind: {} for kind in factors}
    for kind, name, parameter in _kinds(model, head):
        rate = lr * factors[kind][0] * stages.lr_factor(name)
        if rate == 0:
            parameter.requires_grad_(False)
        else:
            members[kind].setdefault(rate, []).append(parameter)
    learning: list[ParameterGroup] = [
        {"name": kind, "params": parameters, "lr": rate, "weight_decay": l2 * factors[kind][1]}
        for kind, by_rate in members.items()
        for rate, parameters in by_rate.items()
    ]
    if not learning:
        raise UserError(
            "nothing would learn: every learn-rate factor is 0; set one of head.weight_lr, "
            "head.bias_lr, backbone.weight_lr and backbone.bias_lr above 0"
        )
    return learning


def sgd(groups: Sequence[ParameterGroup], momentum: float) -> torch.optim.SGD:
    """Stochastic gradient descent with momentum over groups that bring their rates and decays.

    momentum lies from 0 to below 1. Takes PyTorch's fused step where every parameter is floating
    point on a CPU or CUDA device.
    """
    parameters = [parameter for group in groups for parameter in group["params"]]
    fused = all(
        parameter.device.type in _FUSED_DEVICES and parameter.is_floating_point()
        for parameter in parameters
    )
    return torch.optim.SGD([dict(group) for group in groups], momentum=momentum, fused=fused)


def _kinds(model: nn.Module, head: nn.Module) -> Iterator[tuple[str, str, nn.Parameter]]:
    """Each parameter with the kind of its group and its own name."""
    of_head = set(head.modules())
    for prefix, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            kind = "bias" if name == "bias" else "weight"
            if module in of_head:
                kind = f"head.{kind}"
            elif isinstance(module, _NORMALISATIONS):
                kind = "backbone.norm"
            else:
                kind = f"backbone.{kind}"
            # the network itself has no name, and so its own parameters have no dot
            yield kind, f"{prefix}.{name}".removeprefix("."), parameter
