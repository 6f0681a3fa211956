"""What a closed run consists of, as one of its files: any later change of it is seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

FILE = "manifest.json"
MANIFEST_TAG = "mcalc.manifest"
"""Tag with the SHA-256 of the manifest; the study of a sweep keeps it too."""
_FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """A run as it was when it was closed, but for its curve, which is one of its files."""

    name: str
    state: str
    """`finished` or `pruned`."""
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    """Those written at its end, finite all of them."""
    tags: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each file by its path, but of the manifest's own."""

    @property
    def key(self) -> str:
        """Identity of the trial."""
        return self.tags.get("mcalc.key", "")

    def as_bytes(self) -> bytes:
        """As JSON: equal content gives equal bytes."""
        content = {"format": _FORMAT, **asdict(self)}
        return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False).encode()


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def read_manifest(content: bytes) -> Manifest:
    """The manifest of these bytes. Raises ValueError for anything else."""
    try:
        plain: dict[str, Any] = json.loads(content)
        if plain.pop("format") != _FORMAT:
            raise ValueError("it is of another format")
        return Manifest(**plain)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("it is not a manifest") from error
