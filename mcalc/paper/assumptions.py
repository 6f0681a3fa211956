"""What the paper leaves open or says in two ways, what mcalc takes instead, and why.

A number of a reproduction rests on these as much as on the rows of Tables 1 and 2, so the report
prints them. Whatever has a configuration key can be put to another value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Assumption:
    """One gap and how it is filled."""

    topic: str
    paper: str
    """What the paper says, with its section."""
    taken: dict[str, Any]
    """Configuration key -> the value taken by default; empty where no setting governs it."""
    choice: str
    """What mcalc does, in words."""
    reason: str


ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption(
        topic="Base learning rate",
        paper="Not given; Tables 1 and 2 print the factors that multiply it.",
        taken={"trainer.lr": 1e-4},
        choice="1e-4",
        reason="MathWorks' own AlexNet transfer example uses 1e-4. With trainingOptions' default "
        "of 0.01, a factor of 20 would give the new layer a rate of 0.2.",
    ),
    Assumption(
        topic="Solver",
        paper="Not given.",
        taken={"trainer.momentum": 0.9, "trainer.l2": 1e-4},
        choice="Stochastic gradient descent with momentum 0.9 and L2 factor 1e-4",
        reason="trainingOptions('sgdm') with its defaults is what the MathWorks examples use.",
    ),
    Assumption(
        topic="Batch size",
        paper="Not given.",
        taken={"trainer.batch_size": 10},
        choice="10; a last partial batch is dropped",
        reason="MathWorks' transfer example uses 10.",
    ),
    Assumption(
        topic="Length of training",
        paper="Not given, apart from the validation patience.",
        taken={"trainer.max_epochs": 30, "trainer.max_iterations": None},
        choice="At most 30 epochs",
        reason="trainingOptions' default. The 6 epochs of the example would end before a patience "
        "of 30 or 40 could.",
    ),
    Assumption(
        topic="Validation frequency",
        paper="Not given, although patience counts validation evaluations.",
        taken={"trainer.val_every": 50},
        choice="Every 50 iterations",
        reason="trainingOptions' default. With the example's 3 iterations, a patience of 40 is "
        "over within one epoch.",
    ),
    Assumption(
        topic="Which network is reported",
        paper="Not given.",
        taken={"stopping.network": "last"},
        choice="That of the last iteration",
        reason="MATLAB returns it by default. R2021b, later than the paper (January 2020), added "
        "OutputNetwork, which can choose another; its default is still last-iteration.",
    ),
    Assumption(
        topic="Order of training images",
        paper="Not given.",
        taken={"trainer.shuffle": "every_epoch"},
        choice="A new order each epoch",
        reason="MathWorks' transfer example sets it; trainingOptions' default shuffles once.",
    ),
    Assumption(
        topic="Biases of the new layer",
        paper="Gives WeightL2Factor and no BiasL2Factor (Tables 1 and 2).",
        taken={"head.bias_l2": 0.0},
        choice="Biases do not decay",
        reason="MATLAB's default BiasL2Factor is 0.",
    ),
    Assumption(
        topic="Rates of the pretrained layers",
        paper="Says that the last layer has its own factors (II.3), nothing of the others.",
        taken={"backbone.weight_lr": 1.0, "backbone.bias_lr": 2.0, "backbone.bias_l2": 0.0},
        choice="All layers train; pretrained biases at twice the rate, without decay",
        reason="MATLAB's AlexNet and GoogLeNet carry these factors, as their Caffe originals did.",
    ),
    Assumption(
        topic="Pretrained networks",
        paper="AlexNet at 227 x 227 and GoogLeNet at 224 x 224, trained on ImageNet (II.3).",
        taken={"backbone.weights": "imagenet"},
        choice="The ImageNet weights of the backbone named; the report prints which they were",
        reason="MATLAB's networks are those of Caffe, here backbone=alexnet_bvlc and "
        "googlenet_bvlc (sweep=paper_matlab). torchvision's of the same names differ in groups, "
        "normalisation, dropout and scale, as listed below, and are taken by default because their "
        "weights can be downloaded.",
    ),
    Assumption(
        topic="Which images",
        paper="1360 micro-calcification patterns (III); whole mammogram images (V).",
        taken={"data.csv_split": "all", "data.region": "crop", "data.unit": "lesion"},
        choice="The crop of each calcification of the case CSVs named, 1872 in all; data.region="
        "patch and full cut otherwise, data.unit scores images, breasts or patients",
        reason="No selection of rows, images, breasts or patients of CBIS-DDSM gives 1360, and at "
        "227 pixels a side a whole mammogram no longer shows micro-calcifications.",
    ),
    Assumption(
        topic="Labels",
        paper="Benign, malignant and normal cases (II.1); two classes in Table 5.",
        taken={"data.benign_without_callback": "benign", "data.mixed_labels": "malignant"},
        choice="MALIGNANT is positive; BENIGN and BENIGN_WITHOUT_CALLBACK are negative; what holds "
        "several lesions is malignant where one of them is",
        reason="CBIS-DDSM has no normal cases, and BENIGN_WITHOUT_CALLBACK was judged benign.",
    ),
    Assumption(
        topic="Split",
        paper="70 % for training and 30 % for testing (III); whether by image, lesion or patient "
        "is not said.",
        taken={"protocol.name": "paper", "protocol.held_out": 0.3},
        choice="By lesion, so that a patient may be in both subsets; protocol=patient forbids it",
        reason="A split of an image folder, as splitEachLabel makes it, knows no patients.",
    ),
    Assumption(
        topic="Validation and test set",
        paper="One held-out part: Tables 1 and 2 call its accuracy validation accuracy, Table 5 "
        "and 6 evaluate on as many images.",
        taken={"protocol.validation": None},
        choice="protocol=paper stops and reports on the same part, as published; "
        "protocol.validation=0.15 lets other patients stop training",
        reason="A number from the set that stopped training, and the best of ten such rows, is "
        "too high by construction.",
    ),
    Assumption(
        topic="Size of the reported set",
        paper="30 % of 1360 is 408, yet every row of Table 5 sums to 901.",
        taken={},
        choice="Each held-out lesion is reported once; protocol=paper_augment_first splits copies",
        reason="Two hypotheses, neither proved, stand side by side in python -m mcalc.paper: 901 "
        "is 30 % of about 3003, or 2.2 x 1360, as if images were augmented first and split "
        "afterwards; and whole mammograms of calcifications and masses leave 901 as well.",
    ),
    Assumption(
        topic="Contrast enhancement",
        paper="CLAHE, no parameters (II.2).",
        taken={"data.clahe.enabled": True, "data.clahe.clip_limit": 3.5, "data.clahe.tiles": 8},
        choice="8 x 8 tiles, OpenCV's clip limit 3.5, on the crop before it is resized",
        reason="About what MATLAB's adapthisteq does by default (8 x 8 tiles, ClipLimit 0.01).",
    ),
    Assumption(
        topic="Augmentation",
        paper="Rotation, flipping, scaling, resizing, colour and noise can be used (II.2); no "
        "ranges.",
        taken={
            "augment.enabled": True,
            "augment.rotation": 180.0,
            "augment.scale": 0.1,
            "augment.translate": 0.05,
            "augment.brightness": 0.1,
            "augment.contrast": 0.1,
            "augment.noise": 0.02,
        },
        choice="Each of these, drawn anew for every training image and epoch, after the split",
        reason="A crop has no up or down, so any rotation is as good; the other ranges are small "
        "enough to keep fine calcifications visible. Evaluation sees no augmentation.",
    ),
    Assumption(
        topic="Repetition",
        paper="One run a row, no seed and no error bar.",
        taken={"seed": 0},
        choice="One run a row with a fixed seed, and an interval beside each number",
        reason="An interval says how far a second set of images would move the number; other "
        "seeds say how far training itself does.",
    ),
)
