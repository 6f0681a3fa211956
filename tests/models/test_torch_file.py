"""Files of torch.save: the numbers that torch reads, and no file that lies, grows or is damaged."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bounded
import pytest
import torch
import weights_case
from torch import Tensor, nn
from torch_pickles import Stored, pickled, tensor

from mcalc.models.bounded_zip import DamagedFileError
from mcalc.models.torch_file import open_torch_file

DTYPES = (
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.int16, torch.int8, torch.uint8, torch.bool,
)  # fmt: skip


def whole(path: Path) -> Any:
    with open_torch_file(path) as file:
        return file.whole()


def same(one: Any, other: Any) -> bool:
    if isinstance(other, Tensor):
        equal = one.dtype == other.dtype and one.stride() == other.stride()
        return equal and torch.equal(one, other)
    if isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in other)
    if isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


@pytest.mark.parametrize("new", [True, False], ids=["zip", "sequence of pickles"])
def test_it_reads_what_torch_reads(tmp_path: Path, new: bool) -> None:
    base = torch.arange(60.0).reshape(3, 4, 5)
    content = OrderedDict(
        [(str(dtype), (torch.arange(6).reshape(2, 3) % 2).to(dtype)) for dtype in DTYPES]
    ) | {
        "part": base[1:, ::2],
        "turned": base.permute(2, 0, 1),
        "scalar": torch.tensor(2.5),
        "nothing": torch.zeros(0, 3),
        "parameter": nn.Parameter(torch.ones(2)),
        "size": torch.Size((2, 3)),
        "plain": [1, -2, 2**40, 2.5, True, None, "text", (1, 2, 3, 4), {"a": [], 3: ()}],
        "shared": [base, base],
    }
    path = tmp_path / "w.pth"
    torch.save(content, path, _use_new_zipfile_serialization=new)
    read, expected = whole(path), torch.load(path, weights_only=True)
    assert same(read, expected)
    assert read["shared"][0].data_ptr() == read["part"].data_ptr() - 20 * 4


def test_a_list_that_stands_in_two_places_is_one_list_in_both(tmp_path: Path) -> None:
    both = [torch.arange(3.0), "text"]
    torch.save({"one": both, "other": [both]}, tmp_path / "w.pth")
    read = whole(tmp_path / "w.pth")
    assert same(read, torch.load(tmp_path / "w.pth", weights_only=True))
    assert read["one"] is read["other"][0]


def test_a_state_dict_with_its_attributes_is_read(tmp_path: Path) -> None:
    net = weights_case.Net()
    torch.save(net.state_dict(), tmp_path / "w.pth")
    assert same(whole(tmp_path / "w.pth"), dict(net.state_dict()))


def test_numbers_of_the_other_byte_order_are_turned(tmp_path: Path) -> None:
    values = torch.tensor([1.0, -2.5, 3e-20])
    torch.save({"w": values}, tmp_path / "w.pth")
    turned = values.numpy().byteswap().tobytes()

    def change(name: str, content: bytes) -> bytes:
        return turned if "/data/" in name else b"big" if "byteorder" in name else content

    rewrite(tmp_path / "w.pth", change)
    assert torch.equal(whole(tmp_path / "w.pth")["w"], values)


@pytest.mark.parametrize("order", [b"BIG", b"", b"middle", b"big\n"])
def test_a_byte_order_that_is_neither_is_refused(tmp_path: Path, order: bytes) -> None:
    torch.save({"w": torch.ones(3)}, tmp_path / "w.pth")
    rewrite(tmp_path / "w.pth", lambda name, content: order if "byteorder" in name else content)
    with pytest.raises(DamagedFileError, match="it names the byte order"):
        whole(tmp_path / "w.pth")


@pytest.mark.parametrize("new", [True, False], ids=["zip", "sequence of pickles"])
def test_numbers_that_a_view_would_negate_are_refused(tmp_path: Path, new: bool) -> None:
    numbers = torch.imag(torch.complex(torch.zeros(5), torch.arange(5.0)).conj())
    assert numbers.is_neg()
    torch.save({"w": numbers}, tmp_path / "w.pth", _use_new_zipfile_serialization=new)
    assert torch.load(tmp_path / "w.pth")["w"].tolist() == [0, -1, -2, -3, -4]
    with pytest.raises(DamagedFileError, match=r"still to be changed \(\{'neg': True\}\)"):
        whole(tmp_path / "w.pth")


def rewrite(
    path: Path,
    change: Callable[[str, bytes], bytes] = lambda name, content: content,
    compression: int = zipfile.ZIP_STORED,
) -> None:
    """Write an archive anew with other members."""
    with zipfile.ZipFile(path) as archive:
        members = {each.filename: archive.read(each) for each in archive.infolist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, change(name, content))


@pytest.mark.parametrize("part", ["pickle", "storage"])
def test_a_flipped_bit_is_noticed(tmp_path: Path, part: str) -> None:
    path = tmp_path / "w.pth"
    values = torch.arange(500.0)
    torch.save({"name of it": values}, path)
    content = bytearray(path.read_bytes())
    sought = b"name of it" if part == "pickle" else values.numpy().tobytes()
    content[content.find(sought) + 1] ^= 1
    path.write_bytes(content)
    assert list(torch.load(path, weights_only=True))  # torch itself notices nothing
    with pytest.raises(DamagedFileError, match="CRC"):
        whole(path)


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return path


def sequence(path: Path, *contents: Any, storages: bytes = b"") -> Path:
    """As PyTorch before 1.6 wrote it."""
    path.write_bytes(b"".join(map(pickled, contents)) + storages)
    return path


MAGIC = 0x1950A86A20F9469CFC6C
SIX = struct.pack("<q6f", 6, *range(6))
MACHINE = {"little_endian": True}


def test_a_sequence_is_read_as_it_is_written_here(tmp_path: Path) -> None:
    path = sequence(tmp_path / "w.pth", MAGIC, 1001, MACHINE, {"w": tensor()}, ["0"], storages=SIX)
    assert torch.equal(whole(path)["w"], torch.arange(6.0))


@pytest.mark.parametrize(
    ("contents", "storages", "said"),
    [
        ([7, 1001, MACHINE, {}, []], b"", "it is not a file of torch.save"),
        ([MAGIC, 1001, [], {}, []], b"", "it is not a file of torch.save"),
        ([MAGIC, 1001, MACHINE, {}, {}], b"", "it is not a file of torch.save"),
        ([MAGIC, 1001, MACHINE, {"w": tensor()}, ["0", "1"]], SIX, "that no tensor lies in"),
        ([MAGIC, 1001, MACHINE, {"w": tensor()}, []], b"", "its storage 0 is missing"),
        ([MAGIC, 1001, MACHINE, {"w": tensor()}, ["0"]], SIX[:20], "it is cut off"),
        ([MAGIC, 1001, MACHINE, {"w": tensor()}, ["0"]], SIX[:5], "has two sizes, or is cut off"),
        (
            [MAGIC, 1001, MACHINE, [tensor(), tensor(Stored(numel=7))], ["0"]],
            SIX,
            "its storage 0 has two sizes",
        ),
    ],
)
def test_a_sequence_that_does_not_fit_together_is_refused(
    tmp_path: Path, contents: list[Any], storages: bytes, said: str
) -> None:
    path = sequence(tmp_path / "w.pth", *contents, storages=storages)
    with pytest.raises(DamagedFileError, match=said):
        whole(path)


def deep(levels: int) -> list[Any]:
    content: list[Any] = []
    for _ in range(levels):
        content = [content]
    return content


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"w/other": b""}, "it is a zip archive, but not of torch.save"),
        ({"a/data.pkl": b"", "b/data.pkl": b""}, "it is a zip archive, but not of torch.save"),
        ({"w/data.pkl": pickled({"w": tensor()})}, "its storage 0 is missing"),
        (
            # 24 bytes are six numbers of four bytes and three of eight, but not two of them
            {
                "w/data.pkl": pickled(
                    [tensor(), tensor(Stored(kind=torch.DoubleStorage, numel=2), shape=(2,))]
                ),
                "w/data/0": SIX[8:],
            },
            "its storage 0 has two sizes",
        ),
        ({"w/data.pkl": pickled({"w": torch.FloatStorage})}, "it holds more than plain tensors"),
        ({"w/data.pkl": pickled({"w": Stored()})}, "it holds more than plain tensors"),
        ({"w/data.pkl": pickled(deep(30))}, "lie too deep in each other"),
    ],
)
def test_an_archive_that_does_not_fit_together_is_refused(
    tmp_path: Path, members: dict[str, bytes], said: str
) -> None:
    with pytest.raises(DamagedFileError, match=said):
        whole(archive(tmp_path / "w.pth", members))


START = b"\x80\x02"
DOUBLING = b"K\x01q\x00" + b"h\x00\x86q\x00" * 60
"""A tuple of twice the one before, sixty times: its hash would take for ever."""
PICKLES = {
    "many lists": START + b"]" * 5_000_000 + b".",
    "lists in lists": START + b"]" * 250_000 + b"a" * 249_999 + b".",
    "endless key": START + b"}" + DOUBLING + b"K\x01s.",
    "long text": START + b"X" + struct.pack("<I", 2**31) + b"abc.",
    "far memo": START + b"r\xff\xff\xff\x7f.",
    "large pickle": START + b"N0" * 10_000_000 + b".",
    "long number": START + b"\x8b" + struct.pack("<i", 10**7) + b"1" * 10**7 + b".",
    "digits": START + b"L" + b"9" * 10**7 + b"\n.",
    "function": START + b"cos\nsystem\nX\x04\x00\x00\x00true\x85R.",
    "nothing": b"",
    "no end": START + b"}",
}


def cases(folder: Path) -> dict[str, tuple[str]]:
    """Files for `weights_case.Net`, by what is wrong with them."""
    state = dict(weights_case.Net().state_dict())
    made: list[Path] = []

    def save(name: str, content: Any, new: bool = True) -> Path:
        made.append(folder / f"{name}.pth")
        torch.save(content, made[-1], _use_new_zipfile_serialization=new)
        return made[-1]

    def with_weight(value: Tensor) -> dict[str, Tensor]:
        return {**state, "conv.weight": value}

    for name, content in PICKLES.items():
        rewrite(
            save(name, state),
            lambda member, old, new=content: new if member.endswith("data.pkl") else old,
        )
    save("one number a billion times", with_weight(torch.zeros(1).expand(10**9)))
    save("one number of the right shape", with_weight(torch.zeros(1).expand(4, 3, 3, 3)))
    save("large storage", with_weight(torch.zeros(10**7).as_strided((4, 3, 3, 3), (27, 9, 3, 1))))
    save("nan", with_weight(torch.full((4, 3, 3, 3), torch.nan)))
    save("double", with_weight(torch.full((4, 3, 3, 3), 1e300, dtype=torch.float64)))
    save("old nan", with_weight(torch.full((4, 3, 3, 3), torch.nan)), new=False)
    save("old billion", with_weight(torch.zeros(1).expand(10**9)), new=False)
    rewrite(save("packed", state), compression=zipfile.ZIP_DEFLATED)
    rewrite(
        save("packed zeros", state),
        lambda name, old: bytes(2**27) if "/data/" in name else old,
        zipfile.ZIP_DEFLATED,
    )
    rewrite(save("long storage", state), lambda name, old: old + b"1234" * ("/data/" in name))
    rewrite(save("short storage", state), lambda name, old: old[: -4 * ("/data/" in name) or None])
    old = save("old cut", state, new=False)
    old.write_bytes(old.read_bytes()[:-7])
    old = save("old count", state, new=False)
    content = bytearray(old.read_bytes())
    at = content.rfind(struct.pack("<q", 108))
    content[at : at + 8] = struct.pack("<q", 2**60)
    old.write_bytes(content)
    head = b"".join(pickle.dumps(each, 2) for each in (MAGIC, 1001, {}))
    save("old endless key", state, new=False).write_bytes(head + PICKLES["endless key"])
    for name, start in {"hole": b"PK\x03\x04", "old hole": START}.items():
        with save(name, state).open("wb") as file:
            file.write(start)
            file.truncate(10**12)
    with save("directory", state).open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(3 * 10**9)
        file.seek(0, 2)
        file.write(struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 2 * 10**9, 100, 0))
    return {path.stem: (str(path),) for path in made}


@pytest.mark.whole
def test_files_that_lie_or_grow_are_refused_at_once(tmp_path: Path) -> None:
    said = bounded.refusals(weights_case.load, cases(tmp_path), tmp_path)
    assert "shape (1000000000,) in 1 numbers" in said["one number a billion times"]
    assert "holds a tuple as a key" in said["endless key"]
    for name in ("nan", "double", "old nan"):
        assert "1 of 9 parameters" in said[name]
        assert "(first: conv.weight)" in said[name]
    assert "expected at most" in said["large storage"]
    assert "compression 'deflate'" in said["packed zeros"]
    assert "its directory claims 2,000,000,000 bytes" in said["directory"]
