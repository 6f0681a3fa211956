"""Which file `backbone.weights` names: a file, or in a folder the one named after the backbone.

A folder gives each backbone of a sweep its own weights by one setting.
"""

from __future__ import annotations

from pathlib import Path

from mcalc.errors import UserError

PICKLE_SUFFIXES = (".pth", ".pt")
NPZ_SUFFIX = ".npz"
CAFFE_SUFFIX = ".caffemodel"
ONNX_SUFFIX = ".onnx"
WEIGHT_SUFFIXES = (*PICKLE_SUFFIXES, NPZ_SUFFIX, CAFFE_SUFFIX, ONNX_SUFFIX)
NO_FILES = ("imagenet", "none")
"""Values of `backbone.weights` that name no file."""


def is_folder_of_weights(weights: str) -> bool:
    """Whether a value of `backbone.weights` names a folder."""
    return weights not in NO_FILES and Path(weights).expanduser().is_dir()


def weight_file(weights: str, backbone: str) -> Path | None:
    """The file of a backbone's weights, whether it is there or not; None for `imagenet` and `none`.

    Raises UserError where a folder has no file of the backbone, or several.
    """
    if weights in NO_FILES:
        return None
    path = Path(weights).expanduser()
    if not is_folder_of_weights(weights):
        return path
    names = [f"{backbone}{suffix}" for suffix in WEIGHT_SUFFIXES]
    there = [path / name for name in names if (path / name).is_file()]
    if len(there) == 1:
        return there[0]
    found = " and ".join(file.name for file in there) + " are" if there else "none of them is"
    raise UserError(
        f"backbone.weights={weights}: of a folder the file is taken that is named after the "
        f"backbone ({', '.join(names)}), and {found} there: put one file there, or name a file; "
        f"{NPZ_SUFFIX}, {CAFFE_SUFFIX} and {ONNX_SUFFIX} are read for Caffe's networks alone"
    )
