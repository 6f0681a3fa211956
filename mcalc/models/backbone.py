"""What an entry of `mcalc.models.backbones` says of a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn
from torchvision.models import WeightsEnum

CAFFE_BGR_MEAN = (104.0, 117.0, 123.0)
"""Mean of ImageNet's training images in Caffe's order of channels, in grey levels 0..255."""


@dataclass(frozen=True)
class InputContract:
    """What a network's weights expect of an image.

    One formula serves every network: grey levels x in 0..255, floating point, (B, 1, H, W), become
    (x - mean) / std in each of three channels, (B, 3, H, W).
    """

    size: int
    """Height and width in pixels that the weights were trained at."""
    smallest: int
    """Smallest height and width in pixels that the network can process."""
    mean: tuple[float, float, float]
    """Mean of each channel, in grey levels 0..255, in the network's order of channels."""
    std: tuple[float, float, float]
    """What each channel is divided by, in grey levels 0..255, in the same order."""


@dataclass(frozen=True)
class Backbone:
    """One network that a trial can fine-tune."""

    name: str
    """Its key in the registry, and `backbone.name`."""
    build: Callable[[], nn.Module]
    """The network with its 1000 ImageNet classes; the weights it comes with are all replaced.

    Its `nn.Dropout` layers become `mcalc.models.dropout.Dropout`. What it draws beside weights is
    the same each time."""
    replace_head: Callable[[nn.Module, int], nn.Module]
    """Puts a layer of so many outputs in place of the classifier, and returns that layer."""
    contract: InputContract
    stages: tuple[str, ...]
    """From input to output, one regular expression per stage; the last stage is the head.

    They are matched (`re.match`) against names of modules followed by a dot (`features.0.`). Each
    parameter belongs to exactly one stage, and a dropout to the stage whose output it drops.
    `backbone.lr_decay` and `backbone.freeze` act by stage."""
    imagenet: WeightsEnum | None = None
    """torchvision's download; None where there is no public file in a format we read."""
    npz_key: Callable[[str], str] | None = None
    """Our parameter's name -> Caffe's, for a network of Caffe's: it reads `.npz` with these names,
    `.caffemodel` and `.onnx`."""
    optional: tuple[str, ...] = ()
    """First parts of names that a weight file may hold beyond the network."""
    only_weights: bool = False
    """Whether `build` draws weights alone, and takes nothing from what it drew. Its draws are then
    left out, as all weights are replaced."""
