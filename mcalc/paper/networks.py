"""What separates the networks that the paper ran, MATLAB's, from torchvision's of the same names.

The paper names AlexNet and GoogLeNet, and its tool is MATLAB, whose `alexnet` and `googlenet` are
Caffe's (here `alexnet_bvlc` and `googlenet_bvlc`). `alexnet` and `googlenet` here are
torchvision's. The report prints this list and says which were run.
"""

from __future__ import annotations

from dataclasses import dataclass

FAMILIES = {
    "alexnet": ("alexnet", "alexnet_bvlc"),
    "googlenet": ("googlenet", "googlenet_bvlc"),
}
"""Network of the paper -> the backbones that are it: torchvision's, then MATLAB's."""
MATLABS = tuple(matlabs for _, matlabs in FAMILIES.values())
"""Backbones that are MATLAB's networks."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which the networks, or what they are given, differ."""

    topic: str
    matlab: str
    """MATLAB's networks, as far as published; what is only remembered says so."""
    torchvision: str
    """`alexnet` and `googlenet` here."""
    bvlc: str
    """`alexnet_bvlc` and `googlenet_bvlc` here."""


_SAME = "as MATLAB's"

DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        topic="AlexNet's widths and groups",
        matlab="96, 256, 384, 384, 256 filters; the second, fourth and fifth convolution in two "
        "groups; 60,965,224 parameters",
        torchvision='64, 192, 384, 256, 256 filters, no groups (the network of "One weird '
        'trick"); 61,100,840 parameters',
        bvlc=_SAME,
    ),
    Difference(
        topic="AlexNet's first convolution",
        matlab="not padded: 227 pixels become 55",
        torchvision="padded by 2: 227 pixels become 56",
        bvlc=_SAME,
    ),
    Difference(
        topic="Local response normalisation",
        matlab="after the first two convolutions of both networks (AlexNet: before pooling; "
        "GoogLeNet: once behind a pool, once before one)",
        torchvision="none",
        bvlc=_SAME,
    ),
    Difference(
        topic="Batch normalisation",
        matlab="none; every convolution has a bias, which learns at twice the rate",
        torchvision="GoogLeNet: behind every convolution, none of which has a bias. AlexNet: none",
        bvlc=_SAME,
    ),
    Difference(
        topic="GoogLeNet's branches and pools",
        matlab="5x5 convolutions; each pool 3x3; 6,998,552 parameters",
        torchvision="3x3 in place of 5x5; the pool before the last two blocks 2x2; 6,624,904 "
        "parameters",
        bvlc=_SAME,
    ),
    Difference(
        topic="Dropout",
        matlab="AlexNet: 0.5 behind fc6 and fc7, so directly before the new layer. GoogLeNet: 0.4 "
        "before the new layer",
        torchvision="AlexNet: 0.5 before fc6 and fc7, none before the new layer. GoogLeNet: 0.2 "
        "before the new layer",
        bvlc=_SAME,
    ),
    Difference(
        topic="Training on ImageNet",
        matlab="Caffe's: 57.1 % (AlexNet) and 68.7 % (GoogLeNet) of its validation images right",
        torchvision="torchvision's own (AlexNet: 56.5 %) and TensorFlow's (GoogLeNet: 69.8 %)",
        bvlc="as MATLAB's with weights of a file; none with backbone.weights=none",
    ),
    Difference(
        topic="Scale of the input",
        matlab="grey levels 0..255 less their mean, not divided",
        torchvision="divided by 57 to 58 grey levels (AlexNet) or 127.5 (GoogLeNet): MATLAB's "
        "numbers are about 57 or 128 times as large, so one learn rate means another step",
        bvlc=_SAME,
    ),
    Difference(
        topic="Mean of the input",
        matlab="ImageNet's: in AlexNet an image of 227 x 227 means a channel, in GoogLeNet one a "
        "channel. Unless ResetInputNormalization is false, trainNetwork puts the mean of the "
        "training images in its place, one a channel (today's documentation; which release the "
        "paper used, and whether that one did so, is not known)",
        torchvision="ImageNet's, one mean a channel, whatever the training images are",
        bvlc="ImageNet's, one mean a channel: 104, 117, 123, whatever the training images are. "
        "AlexNet's mean image is not used; its channels average 104.0, 116.7, 122.7",
    ),
    Difference(
        topic="Order of channels",
        matlab="red, green, blue",
        torchvision="red, green, blue",
        bvlc="blue, green, red as in Caffe; the first layer of a file of MATLAB's is turned, which "
        "gives the same numbers",
    ),
    Difference(
        topic="Grey to three channels",
        matlab="the paper does not say; ColorPreprocessing gray2rgb repeats the grey image "
        "(remembered)",
        torchvision="the grey image is repeated, and each channel has its own mean and divisor",
        bvlc="the grey image is repeated, and each channel has its own mean",
    ),
    Difference(
        topic="Interpolation",
        matlab="augmentedImageDatastore: bilinear with smoothing where it shrinks; imresize: "
        "bicubic (remembered; the paper does not say which)",
        torchvision="area average where it shrinks, bilinear where it grows",
        bvlc="area average where it shrinks, bilinear where it grows",
    ),
    Difference(
        topic="Bit depth",
        matlab="the paper does not say; CBIS-DDSM has 16 bits, and an image of 16 bits that is not "
        "converted enters the network as 0..65535",
        torchvision="CLAHE and resizing see what the file has; the network sees 8 bits, 0..255",
        bvlc="CLAHE and resizing see what the file has; the network sees 8 bits, 0..255",
    ),
    Difference(
        topic="Arithmetic",
        matlab="32 bits",
        torchvision="bf16 where the hardware computes in it, unless trainer.precision=fp32",
        bvlc="bf16 where the hardware computes in it, unless trainer.precision=fp32",
    ),
)
