"""Digests of the published files of BVLC's networks, so that a download can be told from a change.

SHA-256 of the ONNX model zoo's files are those of its repository (onnx/models, the pointers of Git
LFS). Caffe's model zoo publishes SHA-1 in the readme of each model (BVLC/caffe, `models/`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from mcalc.config import CAFFE_SUFFIX
from mcalc.file_digest import file_sha256

SHA256 = {
    "f1ae53b93d83dd74731c84337ae64035288ce336794a46e2b17b56e7566feaab": "bvlcalexnet-6.onnx",
    "9a4dc22fd706a19462aaec3b08e027e0ef89daf63d123824f20b59b6de9a727b": "bvlcalexnet-8.onnx",
    "ef3c82dad5c512f969dbf701fe35c0b3feb1585687d541f765eb68730c0a8af7": "bvlcalexnet-9.onnx",
    "6b0da9510f27f234ee96a85dc3809dd210150fdefad87f6850f9788513216945": "bvlcalexnet-12.onnx",
    "bd979d99d10d9acf84c5a67252bcae4992bf4e1afdab046cb0ea370e6f01ee38": "googlenet-6.onnx",
    "5725ccfd90845735ce5897faf7843c3f9b13acda3c4f3bff82cb21c9337c9de8": "googlenet-7.onnx",
}
"""Of the ONNX model zoo."""
SHA1 = {
    "9116a64c0fbe4459d18f4bb6b56d647b63920377": "bvlc_alexnet.caffemodel",
    "405fc5acd08a3bb12de8ee5e23a96bec22f08204": "bvlc_googlenet.caffemodel",
}
"""Of Caffe's model zoo."""


def digests(path: Path) -> tuple[str, str]:
    """A file's SHA-256, and which published file it is, in words.

    Raises OSError where it cannot be read.
    """
    found = file_sha256(path)
    if found in SHA256:
        return found, f"{SHA256[found]} of the ONNX model zoo"
    if path.suffix.lower() == CAFFE_SUFFIX:
        with path.open("rb") as file:
            # not for security: it is what Caffe published
            old = hashlib.file_digest(file, lambda: hashlib.sha1(usedforsecurity=False)).hexdigest()
        if old in SHA1:
            return found, f"{SHA1[old]} of Caffe's model zoo (SHA-1 {old})"
    return found, "none of the published files that mcalc knows (docs/weights.md)"
