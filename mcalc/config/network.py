"""Settings of the network: what is pretrained, and the new head."""

from __future__ import annotations

from dataclasses import dataclass

from mcalc.config.choices import MissingWeights
from mcalc.config.rules import Section, setting


@dataclass
class BackboneConfig(Section, prefix="backbone."):
    """A pretrained network and the factors of its layers."""

    name: str = "alexnet"
    """An entry of `mcalc.models.backbones`, or one of an installed plug-in package."""
    weights: str = setting("imagenet", path=True)
    """`imagenet` (download), `none` (random) or the path of a file. Files are .pth, .npz, .onnx or
    .caffemodel. Of a folder the file named after the backbone is taken, as `alexnet_bvlc.npz`, so
    that each backbone of a sweep has its own."""
    on_missing_weights: MissingWeights = MissingWeights.error
    """What happens where `imagenet` cannot be had. `random` warns and trains random weights."""
    weight_lr: float = setting(1.0, low=0)
    """Learn-rate factor of pretrained weights. MATLAB: WeightLearnRateFactor."""
    bias_lr: float = setting(2.0, low=0)
    """Learn-rate factor of pretrained biases. MATLAB's networks have 2, as in Caffe."""
    weight_l2: float = setting(1.0, low=0)
    """L2 factor of pretrained weights. MATLAB: WeightL2Factor."""
    bias_l2: float = setting(0.0, low=0)
    """L2 factor of pretrained biases. MATLAB: BiasL2Factor."""
    lr_decay: float = setting(1.0, above=0, high=1, neutral=1.0)
    """Factor of the learn rates from each stage to the next deeper one. A stage's rates are those
    above times decay^depth; the head has depth 0, the stage at the input the largest."""
    freeze: str = setting("0", neutral="0")
    """Stages that are not trained: a number counted from the input, or `all` but the head. Frozen
    stages run in evaluation mode: without dropout, with the stored statistics of BatchNorm."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.weights:
            raise self.out_of_range("weights", "imagenet, none or a path")
        if self.freeze != "all" and not (
            self.freeze.isdecimal() and self.freeze == str(int(self.freeze))
        ):
            raise self.out_of_range("freeze", "a number of stages from 0, or all")


@dataclass
class HeadConfig(Section, prefix="head."):
    """Factors of the new last layer: its rate is trainer.lr x factor, its decay trainer.l2 x
    factor."""

    weight_lr: float = setting(10.0, low=0)
    """Learn-rate factor of the new layer's weights. MATLAB: WeightLearnRateFactor."""
    bias_lr: float = setting(20.0, low=0)
    """Learn-rate factor of the new layer's biases. MATLAB: BiasLearnRateFactor."""
    weight_l2: float = setting(1.0, low=0)
    """L2 factor of the new layer's weights. MATLAB: WeightL2Factor."""
    bias_l2: float = setting(0.0, low=0)
    """L2 factor of the new layer's biases. MATLAB: BiasL2Factor."""
