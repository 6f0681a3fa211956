"""Pickles as torch.save writes them, by Python's own pickler, with any content."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch


class Stored:
    """A storage: what torch.save writes in place of its numbers."""

    def __init__(
        self,
        key: str = "0",
        numel: Any = 6,
        kind: Any = torch.FloatStorage,
        word: str = "storage",
        view: Sequence[Any] = (),
    ) -> None:
        self.identity = (word, kind, key, "cpu", numel, *view)


class Built:
    """What a function makes of arguments when the pickle is loaded."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._function, self._arguments = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._function, self._arguments


def tensor(
    storage: Stored | None = None, offset: Any = 0, shape: Any = (6,), stride: Any = (1,)
) -> Built:
    """A tensor that needs no gradient."""
    build = torch._utils._rebuild_tensor_v2
    return Built(build, storage or Stored(), offset, shape, stride, False, OrderedDict())


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        return value.identity if isinstance(value, Stored) else None


def pickled(content: Any) -> bytes:
    stream = io.BytesIO()
    _Pickler(stream, protocol=2).dump(content)
    return stream.getvalue()
