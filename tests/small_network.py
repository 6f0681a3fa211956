"""A backbone of a few hundred weights on 32 px, for tests that are about anything but the network.

It is found as a researcher's own is: by the entry point in `small_network-1.dist-info` beside it.
"""

from __future__ import annotations

from torch import nn

from mcalc.models.backbone import Backbone, InputContract

SMALL_NETWORK = ("backbone=squeezenet", "backbone.weights=none", "backbone.name=small")
"""Words that choose it; a tenth of SqueezeNet's time."""
_HEAD = 5


def _build() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(8, 1000),
    )


def _replace_head(network: nn.Module, classes: int) -> nn.Module:
    assert isinstance(network, nn.Sequential)
    network[_HEAD] = nn.Linear(8, classes)
    return network[_HEAD]


_GREY = (127.5, 127.5, 127.5)
SMALL_BACKBONE = Backbone(
    "small", _build, _replace_head, InputContract(32, 5, _GREY, _GREY), (r"0\.", r"5\.")
)
