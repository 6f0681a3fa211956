"""The networks that a trial can fine-tune, and how one is built with its weights and a new head.

To add one: docs/recipes.md. The tests of this module run over every entry and say what a new one
lacks. A package of your own adds one by an entry point of the group `mcalc.backbones` that names a
`Backbone` (`mcalc.plugins`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torchvision.models import (
    AlexNet,
    AlexNet_Weights,
    GoogLeNet,
    GoogLeNet_Weights,
    SqueezeNet,
    SqueezeNet1_1_Weights,
)

from mcalc.config import (
    CAFFE_SUFFIX,
    NPZ_SUFFIX,
    ONNX_SUFFIX,
    PICKLE_SUFFIXES,
    BackboneConfig,
    MissingWeights,
)
from mcalc.errors import UserError
from mcalc.file_digest import file_sha256
from mcalc.models import alexnet_bvlc, googlenet_bvlc
from mcalc.models.alexnet_bvlc import BvlcAlexNet
from mcalc.models.backbone import CAFFE_BGR_MEAN, Backbone, InputContract
from mcalc.models.checks import check_logits
from mcalc.models.googlenet_bvlc import BvlcGoogLeNet
from mcalc.models.undrawn import blank, put_head
from mcalc.models.weight_path import weight_path
from mcalc.models.weights import WeightsUnavailableError, download, initialise, load_file
from mcalc.plugins import find

RANDOM = "random (Glorot)"
"""Origin of weights that are not pretrained."""

NOT_PRETRAINED = (
    "the network is not pretrained: backbone.weights=none draws random (Glorot) weights, so that "
    "nothing is transferred"
)
"""What a reader of a result with such weights must know."""

CLASSES = 2
"""Benign, malignant: the logits' order, as `Lesion.label`; a third class comes behind them."""


@dataclass(frozen=True)
class Built:
    """A network with a new head, ready to train."""

    model: nn.Module
    """(B, 3, H, W) normalised -> (B, classes) logits: benign, malignant, and a third where there is
    one. In training mode, on the CPU."""
    head: nn.Module
    """The new last layer, a part of `model`."""
    contract: InputContract
    stages: tuple[str, ...]
    """As in the `Backbone`."""
    weights_origin: str
    """Where the weights below the head come from, for the record."""
    warnings: tuple[str, ...] = ()
    """Fallbacks taken, one sentence each; they belong into the record and the report."""


_IMAGENET_RGB_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_IMAGENET_RGB_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)


def _linear_head(place: str, features: int) -> Callable[[nn.Module, int], nn.Module]:
    """For networks whose classifier at `place` is one fully connected layer."""

    def replace(model: nn.Module, classes: int) -> nn.Module:
        head = nn.Linear(features, classes)
        model.set_submodule(place, head)
        return head

    return replace


def _build_googlenet() -> nn.Module:
    # torchvision's ImageNet loader switches transform_input on, which turns ImageNet-normalised
    # input back into (x - 0.5) / 0.5. The contract asks for that input at once, and so the switch
    # stays off. The auxiliary classifiers are omitted: torchvision's file holds untrained ones,
    # and MATLAB's network has none.
    model: nn.Module = GoogLeNet(aux_logits=False, transform_input=False, init_weights=False)
    return model


def _squeezenet_head(model: nn.Module, classes: int) -> nn.Module:
    # The classifier's ReLU and average pool after this convolution stay, as in the published
    # network and in MATLAB's transfer of it (relu_conv10, pool10). Logits are therefore never
    # negative: a class whose map falls below zero everywhere gives 0 and has no gradient.
    head = nn.Conv2d(512, classes, kernel_size=1)
    model.set_submodule("classifier.1", head)
    return head


_INCEPTION_STAGES = (
    *(rf"inception{block}\." for block in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a")),
    r"(inception5b|dropout)\.",
)

BACKBONES: Mapping[str, Backbone] = {
    # AlexNet of "One weird trick" (arXiv 1404.5997): 64/192/384/256/256 filters, no groups, no
    # local response normalisation, where MATLAB's is BVLC's 96/256/384/384/256. 227 px as the
    # paper's network (section II.3a): torchvision's pools 227 to 6x6 as it does 224.
    "alexnet": Backbone(
        name="alexnet",
        build=AlexNet,
        replace_head=_linear_head("classifier.6", 4096),
        contract=InputContract(227, 63, _IMAGENET_RGB_MEAN, _IMAGENET_RGB_STD),
        only_weights=True,
        stages=(
            *(rf"features\.{layer}\." for layer in (0, 3, 6, 8)),
            *(r"(features\.10|classifier\.0)\.", r"classifier\.[13]\."),  # with their dropouts
            *(r"classifier\.4\.", r"classifier\.6\."),
        ),
        imagenet=AlexNet_Weights.IMAGENET1K_V1,
    ),
    # torchvision's GoogLeNet, ported from TensorFlow: batch normalisation, 3x3 in the "5x5" branch.
    # Its weights take 0..1 to -1..1. Batches of one need more than one position left for batch
    # normalisation to train.
    "googlenet": Backbone(
        name="googlenet",
        build=_build_googlenet,
        replace_head=_linear_head("fc", 1024),
        contract=InputContract(224, 15, (127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
        only_weights=True,
        stages=(*(rf"conv{layer}\." for layer in (1, 2, 3)), *_INCEPTION_STAGES, r"fc\."),
        imagenet=GoogLeNet_Weights.IMAGENET1K_V1,
        optional=("aux1", "aux2"),
    ),
    # SqueezeNet 1.1: small enough to try things out.
    "squeezenet": Backbone(
        name="squeezenet",
        build=lambda: SqueezeNet(version="1_1"),
        replace_head=_squeezenet_head,
        contract=InputContract(224, 17, _IMAGENET_RGB_MEAN, _IMAGENET_RGB_STD),
        only_weights=True,
        stages=(
            *(rf"features\.{layer}\." for layer in (0, 3, 4, 6, 7, 9, 10, 11)),
            r"(features\.12|classifier\.0)\.",
            r"classifier\.1\.",
        ),
        imagenet=SqueezeNet1_1_Weights.IMAGENET1K_V1,
    ),
    # The network behind MATLAB's `alexnet`. Caffe reads images with OpenCV, hence channels blue,
    # green, red, and only subtracts the mean. Here that was a mean image, whose channels average
    # 104.0, 116.7 and 122.7.
    "alexnet_bvlc": Backbone(
        name="alexnet_bvlc",
        build=BvlcAlexNet,
        replace_head=_linear_head("fc8", 4096),
        contract=InputContract(227, 39, CAFFE_BGR_MEAN, (1.0, 1.0, 1.0)),
        only_weights=True,
        stages=(
            *(rf"conv{layer}\." for layer in range(1, 6)),
            *(rf"(fc|dropout){layer}\." for layer in (6, 7)),
            r"fc8\.",
        ),
        npz_key=alexnet_bvlc.caffe_key,
    ),
    # The network behind MATLAB's `googlenet`.
    "googlenet_bvlc": Backbone(
        name="googlenet_bvlc",
        build=BvlcGoogLeNet,
        replace_head=_linear_head("classifier", 1024),
        contract=InputContract(224, 31, CAFFE_BGR_MEAN, (1.0, 1.0, 1.0)),
        only_weights=True,
        stages=(r"conv1\.", r"conv2(_reduce)?\.", *_INCEPTION_STAGES, r"classifier\."),
        npz_key=googlenet_bvlc.caffe_key,
        optional=googlenet_bvlc.AUXILIARY,
    ),
}


def find_backbone(name: str) -> Backbone:
    """The entry of that name, built in or from an installed package. Raises UserError as `find`."""
    return find("backbones", name, BACKBONES, Backbone, "backbone.name")


def build_classifier(backbone: BackboneConfig, seed: int, classes: int = CLASSES) -> Built:
    """A pretrained (or random) network with a new head.

    Args:
        backbone: the entry and its weights. `imagenet` downloads on first use; `none` draws
            Glorot weights; anything else is the path of a weight file, relative to the working
            directory.
        seed: 0 or more. The head, and the weights where they are random, are drawn from two
            separate streams. So the head is the same whatever the weights below it are, and the
            global random number generator is not advanced.
        classes: outputs of the head, from 2 (`mcalc.data.splits.samples.class_count`).

    Raises UserError for an unknown backbone, weights that cannot be had (unless
    `on_missing_weights=random`) and a file that is missing, damaged or of another network.
    """
    entry = find_backbone(backbone.name)
    model = blank(entry)
    origin, warnings = _fill(model, entry, backbone, _stream(seed, 0))
    head = put_head(model, entry, classes)
    draw_head(head, seed)
    if backbone.name not in BACKBONES:
        check_logits(entry, model, classes)
    return Built(model.train(), head, entry.contract, entry.stages, origin, warnings)


def draw_head(head: nn.Module, seed: int) -> None:
    """Draw the weights of a new head: of a seed they are always the same. Raises UserError."""
    try:
        initialise(head, _stream(seed, 1))
    except UserError as error:
        raise UserError(f"the network's head: {error}; make it of these layers") from None


def _draw(model: nn.Module, entry: Backbone, stream: torch.Generator) -> None:
    try:
        initialise(model, stream)
    except UserError as error:
        raise UserError(
            f"random weights of backbone.name={entry.name}: {error}; give backbone.weights=PATH of "
            "a file with the network's weights"
        ) from None


def _stream(seed: int, purpose: int) -> torch.Generator:
    # torch keeps 32 bits of a seed, so the purpose has to be mixed in, not put beside it.
    mixed = np.random.SeedSequence(seed, spawn_key=(purpose,)).generate_state(1, np.uint32)
    return torch.Generator().manual_seed(int(mixed[0]))


def _fill(
    model: nn.Module, entry: Backbone, backbone: BackboneConfig, stream: torch.Generator
) -> tuple[str, tuple[str, ...]]:
    """Fill the 1000-class network; return the weights' origin and the fallbacks taken."""
    if path := weight_path(backbone.weights, entry.name):
        return _fill_from_path(model, entry, path), ()
    if backbone.weights == "none":
        _draw(model, entry, stream)
        return RANDOM, (NOT_PRETRAINED,)
    try:
        return _fill_from_imagenet(model, entry), ()
    except WeightsUnavailableError as error:
        if backbone.on_missing_weights is not MissingWeights.random:
            raise
        _draw(model, entry, stream)
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        warning = (
            f"the ImageNet weights of backbone={entry.name} are not available{cause}: random "
            "(Glorot) weights are used instead, as backbone.on_missing_weights=random allows"
        )
        return RANDOM, (warning,)


def _fill_from_imagenet(model: nn.Module, entry: Backbone) -> str:
    load_file(model, download(_url(entry)), optional=entry.optional)
    enum: Any = entry.imagenet
    return f"imagenet (torchvision {type(enum).__name__}.{enum.name})"


def require_weights(backbone: BackboneConfig, *, ask_server: bool = True) -> None:
    """Have the weights of a backbone on this machine, as `build_classifier` would.

    Without `ask_server` nothing is downloaded, and it is only asked whether any server has them.
    Raises UserError where they cannot be had, and random ones are not allowed instead.
    """
    entry = find_backbone(backbone.name)
    named = weight_path(backbone.weights, entry.name) or backbone.weights == "none"
    if not named and backbone.on_missing_weights is not MissingWeights.random:
        url = _url(entry)
        if ask_server:
            download(url)


def _url(entry: Backbone) -> str:
    if entry.imagenet is None:
        raise WeightsUnavailableError(
            f"backbone.weights=imagenet: no server offers the weights of backbone={entry.name} in "
            f"a form that mcalc downloads; give backbone.weights=PATH of its {_instead(entry)}"
        )
    return str(entry.imagenet.url)


def _instead(entry: Backbone) -> str:
    """What can be had in the place of a download."""
    random = (
        ", or take random weights with backbone.weights=none or backbone.on_missing_weights=random"
    )
    if entry.npz_key is not None:
        return (
            f"{NPZ_SUFFIX}, {ONNX_SUFFIX} or {CAFFE_SUFFIX} file, or of a folder with it "
            f"(docs/weights.md says where they are){random}"
        )
    file = f"{' or '.join(PICKLE_SUFFIXES)} file with its state_dict"
    try:
        initialise(blank(entry), torch.Generator())
    except UserError:
        return file  # it has layers that cannot be drawn
    return file + random


def _fill_from_path(model: nn.Module, entry: Backbone, path: Path) -> str:
    loaded = load_file(model, path, npz_key=entry.npz_key, optional=entry.optional)
    changed = f" ({', '.join(loaded.changed)})" if loaded.changed else ""
    return f"file {path.name} sha256:{file_sha256(path)[:12]}{changed}"
