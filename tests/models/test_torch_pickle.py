"""Pickles of torch.save: what a plain one holds is read, and anything else is named and refused."""

from __future__ import annotations

import io
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch_pickles
from torch_pickles import Built, Stored, tensor

from mcalc.models.bounded_zip import DamagedFileError
from mcalc.models.torch_pickle import Declared, Storage, read_pickle


def read(content: Any) -> Any:
    return read_pickle(io.BytesIO(torch_pickles.pickled(content)))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # as Python 2 wrote it: all pairs in one list
        (Built(OrderedDict, [["a", 1], ["b", 2]]), {"a": 1, "b": 2}),
        (Built(OrderedDict), {}),
        (torch.Size([2, 3]), (2, 3)),
        (
            tensor(shape=(2, 3), stride=(3, 1)),
            Declared(Storage("0", torch.float32, 6), 0, (2, 3), (3, 1)),
        ),
        (
            Built(torch._utils._rebuild_tensor, Stored(), 1, (2,), (2,)),
            Declared(Storage("0", torch.float32, 6), 1, (2,), (2,)),
        ),
        (
            Built(torch._utils._rebuild_parameter, tensor(), True, OrderedDict()),
            Declared(Storage("0", torch.float32, 6), 0, (6,), (1,)),
        ),
        (Stored(view=[None]), Storage("0", torch.float32, 6)),
    ],
)
def test_what_torch_save_writes_and_wrote_is_read(content: Any, expected: Any) -> None:
    assert read(content) == expected


REFUSED: dict[str, tuple[Any, str]] = {
    "a class that is none": (Stored(kind="FloatStorage"), "names no class of storages"),
    "a class of another module": (Stored(kind=np.float32), "plain tensors (numpy float32)"),
    "another class of torch": (Stored(kind=torch.Size), "plain tensors (torch Size)"),
    "a module": (Stored(word="module"), "plain tensors (torch FloatStorage)"),
    "a view of a storage": (Stored(view=[("1", 0, 3)]), "only PyTorch 0.1 wrote"),
    "half a number": (Stored(numel=1.5), "a size that is no whole number from 0"),
    "fewer than none": (Stored(numel=-1), "a size that is no whole number from 0"),
    "more than there are": (Stored(numel=2**60), "a size that is no whole number from 0"),
    "true for a number": (Stored(numel=True), "a size that is no whole number from 0"),
    "a list as a shape": (tensor(shape=[6], stride=(1,)), "a tensor without a shape"),
    "a stride too many": (tensor(shape=(6,), stride=(1, 1)), "a tensor without a shape"),
    "17 dimensions": (tensor(shape=(1,) * 17, stride=(1,) * 17), "a tensor of 17 dimensions"),
    "before the storage": (tensor(offset=-1), "no whole number from 0"),
    "behind the storage": (tensor(offset=1), "shape (6,) in 6 numbers"),
    "another function": (Built(os.getcwd), "more than plain tensors"),
    "a parameter of nothing": (Built(torch._utils._rebuild_parameter, 1, True, {}), "rebuild"),
    "a tuple as a key": ({("a",): 1}, "holds a tuple as a key"),
    "a tuple as an old key": (Built(OrderedDict, [[("a",), 1]]), "holds a tuple as a key"),
    "a number called": (b"\x80\x02K\x01)R.", "more than plain tensors (int)"),
    "put into a dict": (b"\x80\x02}K\x01a.", "holds a dict where a list is"),
    "put into a list": (b"\x80\x02]K\x01K\x02s.", "holds a list where a dict is"),
    "attributes of a list": (b"\x80\x02]}b.", "holds a list where a dict is"),
    "an object": (b"\x80\x02)\x81.", "more than plain tensors (NEWOBJ)"),
    "two values": (b"\x80\x02K\x01K\x02.", "its pickle is damaged (ValueError)"),
    "no mark": (b"\x80\x02K\x01t.", "its pickle is damaged (ValueError)"),
    "nothing to take": (b"\x80\x02a.", "its pickle is damaged (IndexError)"),
    "no end": (b"\x80\x02K\x01", "its pickle is damaged (ValueError)"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "said"), REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused_and_named(content: Any, said: str) -> None:
    written = content if isinstance(content, bytes) else torch_pickles.pickled(content)
    with pytest.raises(DamagedFileError) as raised:
        read_pickle(io.BytesIO(written))
    assert said in str(raised.value)


@pytest.mark.parametrize("protocol", [0, 1, 4])
def test_other_protocols_than_that_of_torch_save_run_nothing(protocol: int) -> None:
    ran: list[int] = []

    class Runs:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            ran.append(1)
            return os.system, ("true",)

    content = pickle.dumps({"weight": Runs()}, protocol)
    assert ran == [1]  # it was asked how it is built again
    with pytest.raises(DamagedFileError):
        read_pickle(io.BytesIO(content))
