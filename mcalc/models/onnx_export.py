"""A trained network as ONNX: prepared grey images in, logits and the probability out."""

from __future__ import annotations

import logging
import warnings
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from mcalc.atomic_write import refused_as, write_binary
from mcalc.errors import UserError
from mcalc.models.learner import Learner
from mcalc.models.local_response_norm import BETA, LocalResponseNorm

INPUT, LOGITS, PROBABILITY = "image", "logits", "probability"
METADATA = "mcalc"
"""Key of the model's metadata whose value says how images are prepared, and more."""
OPSET = 18


class WithProbability(nn.Module):
    """Grey images to logits and the probability of malignant; normalisation is part of it."""

    mean: Tensor
    std: Tensor

    def __init__(self, classifier: Learner, positive: int) -> None:
        super().__init__()
        self.positive = positive
        self.model = _plain(classifier.model)
        self.register_buffer("mean", classifier.mean.detach().cpu().clone())
        self.register_buffer("std", classifier.std.detach().cpu().clone())

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, S, S) float32, grey 0..255 -> (B, classes), (B,)."""
        logits: Tensor = self.model((image - self.mean) / self.std)
        return logits, torch.softmax(logits, dim=1)[:, self.positive]


def export_onnx(classifier: Learner, size: int, positive: int, about: str, target: Path) -> None:
    """Write the network in fp32 with a batch of any size.

    Args:
        classifier: in evaluation mode.
        size: width and height of its images, pixels.
        positive: the class whose probability is given.
        about: text for the model's metadata.
        target: the file.

    Raises UserError where the packages for it are not installed, or the file cannot be written.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch's exporter writes with it
    except ImportError as error:
        raise UserError(
            f"to={target}: writing ONNX needs the packages onnx and onnxscript: pip install "
            "'mcalc[onnx]'"
        ) from error
    module = WithProbability(classifier, positive).eval().float()
    # two, as the exporter takes a batch of one for a constant
    example = torch.zeros(2, 1, size, size)
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        # of torch's exporter about its own internals
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        draft = Path(folder) / "network.onnx"
        torch.onnx.export(
            module,
            (example,),
            str(draft),
            input_names=[INPUT],
            output_names=[LOGITS, PROBABILITY],
            dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
        model = onnx.load(str(draft))
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA, about
    onnx.checker.check_model(model)
    with refused_as(f"to={target}"), write_binary(target) as file:
        file.write(model.SerializeToString())


def _plain(model: nn.Module) -> nn.Module:
    """A copy on the CPU whose normalisation is PyTorch's own, which the exporter knows."""
    copied = deepcopy(model).cpu()
    for name, part in list(copied.named_modules()):
        if isinstance(part, LocalResponseNorm):
            plain = nn.LocalResponseNorm(part.size, part.alpha, BETA, part.k)
            copied.set_submodule(name, plain)
    return copied
