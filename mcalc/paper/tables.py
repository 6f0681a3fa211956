"""Tables 1, 2, 5 and 6 of the paper, digit for digit.

Tables 3 and 4 are pictures (training curve, classified mammograms, confusion matrix).
The values are `Decimal`, so that `0.889` in Table 1 and `0.8890` in Table 5 stay what was printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from mcalc.evaluation import Confusion

NETWORKS = ("alexnet", "googlenet")
"""Backbones of the paper; also the names of the sweeps that repeat it."""

NETWORK_TITLES = {"alexnet": "AlexNet", "googlenet": "GoogLeNet"}

REPORTED = 901
"""Images that every row of Table 5 sums to."""
BENIGN = 504
MALIGNANT = 397


@dataclass(frozen=True, slots=True)
class PaperTrial:
    """One fine-tuned network of the paper."""

    name: str
    """`AL1`, `GL1` as in Tables 3, 5 and 6: the name used in mcalc."""
    printed_name: str
    """`A11`, `G11` as in Tables 1 and 2."""
    network: str
    """An entry of `NETWORKS`."""
    patience: int
    """ValidationPatience, in validation evaluations."""
    weight_lr: int
    """WeightLearnRateFactor of the new layer."""
    bias_lr: int
    """BiasLearnRateFactor of the new layer."""
    weight_l2: int
    """WeightL2Factor of the new layer."""
    accuracy: Decimal
    """Validation accuracy as printed in Table 1 or 2."""
    confusion: Confusion
    """Counts of Table 5."""
    table5_accuracy: Decimal
    """Accuracy as printed in Table 5."""
    recall: Decimal
    precision: Decimal
    specificity: Decimal
    f_measure: Decimal
    """The last four as printed in Table 6."""

    @property
    def settings(self) -> dict[str, int]:
        """The row's parameters by configuration key, in the order of Tables 1 and 2."""
        return {
            "stopping.patience": self.patience,
            "head.weight_lr": self.weight_lr,
            "head.bias_lr": self.bias_lr,
            "head.weight_l2": self.weight_l2,
        }


# One line a row: printed name, patience, three factors and accuracy of Table 1 or 2; then name, TN,
# FN, TP, FP and accuracy of Table 5; then recall, precision, specificity and F-measure of Table 6.
_ALEXNET = """
A11   15  1  2  1 0.8935  AL1  440  32 365  64 0.8935  0.9194 0.8508 0.8730 0.8838
A12   15 10 20  1 0.889   AL2  478  74 323  26 0.8890  0.8136 0.9255 0.9484 0.8660
A13   15 15 20  1 0.9478  AL3  500  43 354   4 0.9478  0.8917 0.9888 0.9921 0.9378
A14   15 15 30  1 0.9223  AL4  474  40 357  30 0.9223  0.8992 0.9225 0.9405 0.9107
A15   10 20 30  1 0.8568  AL5  473  98 299  31 0.8568  0.7532 0.9060 0.9385 0.8226
A16    5 20 30  1 0.8901  AL6  492  87 310  12 0.8901  0.7809 0.9627 0.9762 0.8623
A17   30 20 30  1 0.8935  AL7  432  24 373  72 0.8935  0.9395 0.8382 0.8571 0.8860
A18   30 20 30 10 0.8879  AL8  446  43 354  58 0.8879  0.8917 0.8592 0.8849 0.8752
A19   30 20 30  5 0.9012  AL9  484  69 328  20 0.9012  0.8262 0.9425 0.9603 0.8805
A110  40 20 30  1 0.9034  AL10 482  65 332  22 0.9034  0.8362 0.9379 0.9564 0.8842
"""

_GOOGLENET = """
G11   15  1  2  1 0.8179  GL1  389  49 348 115 0.8179  0.8766 0.7516 0.7718 0.8093
G12   15 10 20  1 0.8513  GL2  423  53 344  81 0.8513  0.8665 0.8094 0.8393 0.8370
G13   15 15 20  1 0.7814  GL3  492 185 212  12 0.7814  0.5340 0.9464 0.9762 0.6828
G14   15 15 30  1 0.8579  GL4  444  68 329  60 0.8579  0.8287 0.8458 0.8809 0.8372
G15   10 20 30  1 0.8246  GL5  427  81 316  77 0.8246  0.7959 0.8041 0.8472 0.8
G16    5 20 30  1 0.8679  GL6  409  24 373  95 0.8679  0.9396 0.7970 0.8115 0.8624
G17   30 20 30  1 0.8368  GL7  460 103 294  44 0.8368  0.7406 0.8698 0.9127 0.8
G18   30 20 30 10 0.8113  GL8  444 110 287  60 0.8113  0.7229 0.8271 0.8809 0.7715
G19   30 20 30  5 0.8568  GL9  460  85 312  44 0.8568  0.7859 0.8764 0.9127 0.8287
G110  40 20 30  1 0.8657  GL10 444  61 336  60 0.8657  0.8464 0.8485 0.8809 0.8474
"""


def _parse(network: str, text: str) -> tuple[PaperTrial, ...]:
    trials = []
    for line in text.split("\n")[1:-1]:
        (
            printed_name, patience, weight_lr, bias_lr, weight_l2, accuracy,
            name, tn, fn, tp, fp, table5_accuracy,
            recall, precision, specificity, f_measure,
        ) = line.split()  # fmt: skip
        trials.append(
            PaperTrial(
                name=name,
                printed_name=printed_name,
                network=network,
                patience=int(patience),
                weight_lr=int(weight_lr),
                bias_lr=int(bias_lr),
                weight_l2=int(weight_l2),
                accuracy=Decimal(accuracy),
                confusion=Confusion(tn=int(tn), fn=int(fn), tp=int(tp), fp=int(fp)),
                table5_accuracy=Decimal(table5_accuracy),
                recall=Decimal(recall),
                precision=Decimal(precision),
                specificity=Decimal(specificity),
                f_measure=Decimal(f_measure),
            )
        )
    return tuple(trials)


ALEXNET = _parse("alexnet", _ALEXNET)
"""AL1..AL10."""
GOOGLENET = _parse("googlenet", _GOOGLENET)
"""GL1..GL10."""
PAPER_TRIALS = {"alexnet": ALEXNET, "googlenet": GOOGLENET}
"""The rows of each network, in the paper's order."""
