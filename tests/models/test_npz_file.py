"""Files of numpy.savez: every kind of float is read, and no file that lies, grows or is damaged."""

from __future__ import annotations

import copy
import io
import pickle
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bounded
import numpy as np
import pytest
import torch
import weights_case

from mcalc.errors import UserError
from mcalc.models.bounded_zip import DamagedFileError
from mcalc.models.npz_file import open_npz

CASES = Path(__file__).parent / "cases"


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def header(text: str, numbers: bytes = b"") -> bytes:
    """A member with this header, whatever it says."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n" + numbers


def shaped(shape: str, descr: str = "<f4") -> bytes:
    return header(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", ">f8", "<f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_kind_of_float_is_read(
    tmp_path: Path, save: Callable[..., None], dtype: str, order: str
) -> None:
    values = np.arange(24.0).reshape(2, 3, 4) / 8
    arrays = {"a/b.weight": values.astype(dtype, order=order), "scalar": np.array(2.5, dtype)}
    save(tmp_path / "w.npz", **arrays, nothing=np.zeros((0, 3), dtype))
    with open_npz(tmp_path / "w.npz") as file:
        assert file.arrays["nothing"].shape == (0, 3)
        assert file.tensor("nothing").shape == (0, 3)
        assert file.tensor("scalar") == torch.tensor(2.5)
        assert torch.equal(file.tensor("a/b.weight"), torch.from_numpy(values).float())


def refusal(path: Path) -> str:
    """What is said of a file that is given as a network's weights."""
    with pytest.raises(UserError) as raised:
        weights_case.load(str(path))
    said = str(raised.value)
    assert said.startswith(f"backbone.weights={path}: not readable as an .npz of plain arrays (")
    assert said.endswith("get or make it anew (docs/weights.md says how)")
    return said


def test_members_of_the_same_bytes_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("conv.weight.npy", npy(np.zeros(1000)))
        twin = copy.copy(archive.getinfo("conv.weight.npy"))
        twin.filename = "conv.bias.npy"
        archive.filelist.append(twin)
    assert "(its members claim more bytes than it has)" in refusal(tmp_path / "w.npz")


def test_a_member_of_less_than_it_declares_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    content = npy(np.zeros(10_000, np.float32))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conv.bias.npy", content[:-400])
        # the directory is written when the archive is closed
        archive.getinfo("conv.bias.npy").file_size = len(content)
    with open_npz(path) as file, pytest.raises(DamagedFileError, match="it is cut off"):
        file.tensor("conv.bias")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conv.bias.npy", content[:50])
        archive.getinfo("conv.bias.npy").file_size = len(content)
    assert "(it is cut off)" in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("conv.bias.npy", content[:-400])
        archive.getinfo("conv.bias.npy").file_size = len(content)
    assert "(its member 'conv.bias.npy' has two sizes)" in refusal(path)


def test_more_members_than_any_network_has_parameters_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        for number in range(10_001):
            archive.writestr(f"{number}.npy", b"")
    assert "(it has 10,001 members)" in refusal(tmp_path / "w.npz")


@pytest.mark.whole
def test_files_that_lie_or_grow_are_refused_at_once(tmp_path: Path) -> None:
    state = weights_case.Net().state_dict()
    good = {f"{key}.npy": npy(value.numpy()) for key, value in state.items()}
    shape = tuple(state["conv.weight"].shape)
    calls: dict[str, tuple[str]] = {}

    def write(
        name: str, members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED
    ) -> Path:
        path = tmp_path / f"{name}.npz"
        with zipfile.ZipFile(path, "w", compression) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a member that is written twice
            for member, content in members:
                archive.writestr(member, content)
        calls[name] = (str(path),)
        return path

    firsts = {
        "40 TB": shaped("(10000000000000,)"),
        "negative": shaped("(-1, 3)"),
        "overflow": shaped(f"({10**30}, 3)"),
        "brackets": header("(" * 9000),
        "long header": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + bytes(10**6),
        "version": b"\x93NUMPY\x09\x00" + bytes(100),
        "objects": shaped("(1,)", "|O") + pickle.dumps([1]),
        "cut": good["conv.weight.npy"][:-4],
        "more": good["conv.weight.npy"] + b"1234",
        "nan": npy(np.full(shape, np.nan, np.float32)),
        "beyond float32": npy(np.full(shape, 1e300)),
        "empty": npy(np.zeros((0, 3), np.float32)),
        "large": npy(np.zeros((3000, 3000), np.float32)),
    }
    for name, first in firsts.items():
        write(name, [*({**good, "conv.weight.npy": first}).items()])
    with (
        zipfile.ZipFile(write("bomb", []), "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("conv.weight.npy", "w", force_zip64=True) as member,
    ):
        member.write(shaped("(100000000,)"))
        for _ in range(25):
            member.write(bytes(16_000_000))
    write("bzip2", [*good.items()], zipfile.ZIP_BZIP2)
    write("twice", [*good.items(), ("conv.weight.npy", good["conv.weight.npy"])])
    write("thousands", [(f"{number}.npy", npy(np.zeros(1))) for number in range(4000)])
    write("zip in zip", [("w.npz", write("inner", [*good.items()][:2]).read_bytes())])
    flags = write("encrypted", [*good.items()])
    content = bytearray(flags.read_bytes())
    content[content.find(b"PK\x01\x02") + 8] |= 1
    flags.write_bytes(content)
    flipped = write("flipped", [*good.items()], zipfile.ZIP_STORED)
    content = bytearray(flipped.read_bytes())
    content[content.find(state["conv.weight"].numpy().tobytes()) + 5] ^= 1
    flipped.write_bytes(content)
    (tmp_path / "array.npz").write_bytes(npy(np.zeros(3)))
    torch.save(state, tmp_path / "torch.npz")
    shutil.copy(write("good", [*good.items()]), tmp_path / "numpy.pth")
    del calls["good"]
    for file in ("array.npz", "torch.npz", "numpy.pth"):
        calls[file] = (str(tmp_path / file),)
    for file_of_old in CASES.glob("*.npz"):
        calls[file_of_old.name] = (str(file_of_old),)
    said = bounded.refusals(weights_case.load, calls, tmp_path)
    assert len(list(CASES.glob("*.npz"))) == 3
    assert "declares 40,000,000,000,000 bytes" in said["40 TB"]
    assert "conv.weight is (100000000,), expected (4, 3, 3, 3)" in said["bomb"]
    assert "encrypted" in said["encrypted"]
    assert "two members 'conv.weight.npy'" in said["twice"]
    assert "CRC" in said["flipped"]
    assert "compression 'bzip2'" in said["bzip2"]
    for name in ("nan", "beyond float32"):
        assert "1 of 9 parameters" in said[name]
        assert "(first: conv.weight)" in said[name]
    assert "4000 unexpected (first: 0)" in said["thousands"]
