"""Files of torch.save: what they declare first, and then the tensors that are asked for.

Two containers are read: the zip archive of PyTorch since 1.6, whose members are stored as they are,
and the sequence of pickles before it, which torchvision's older files have.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from mcalc.models.bounded_zip import BoundedFile, DamagedFileError, open_zip, read_bytes
from mcalc.models.torch_pickle import Declared, Storage, read_pickle

MOST_PICKLE = 2**24
"""Bytes of a pickle; the numbers of tensors lie outside."""
_DEEPEST = 20
"""Containers in each other."""
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_MAGIC = 0x1950A86A20F9469CFC6C
"""What a file of before PyTorch 1.6 begins with."""


class TorchFile:
    """An open file: `content` holds a `Declared` for each tensor."""

    def __init__(
        self, content: Any, read: Callable[[Storage], Tensor], swapped: bool = False
    ) -> None:
        self.content = content
        self._read = read
        self._swapped = swapped
        self._storages: dict[str, Tensor] = {}

    def tensor(self, declared: Declared) -> Tensor:
        """Read a tensor, on the CPU. Tensors of one storage share it.

        Raises DamagedFileError where the file holds other bytes than it declares.
        """
        storage = declared.storage
        if storage.key not in self._storages:
            content = self._read(storage)
            if self._swapped:
                content = content.view(-1, storage.dtype.itemsize).flip(1).reshape(-1)
            self._storages[storage.key] = content
        numbers = self._storages[storage.key].view(storage.dtype)
        if len(numbers) != storage.numel:
            raise DamagedFileError(f"its storage {storage.key} has two sizes")
        return numbers.as_strided(declared.shape, declared.stride, declared.offset)

    def whole(self) -> Any:
        """The content with every tensor read. Raises DamagedFileError as `tensor`."""
        return self._filled(self.content, {}, 0)

    def _filled(self, content: Any, known: dict[int, Any], depth: int) -> Any:
        if depth > _DEEPEST:
            raise DamagedFileError("its containers lie too deep in each other")
        if isinstance(content, Declared):
            return self.tensor(content)
        if not isinstance(content, dict | list | tuple):
            return content
        if type(content) not in (dict, list, tuple):
            raise DamagedFileError(f"it holds more than plain tensors ({type(content).__name__})")
        if id(content) not in known:  # one object may stand in many places
            if isinstance(content, dict):
                known[id(content)] = {
                    key: self._filled(value, known, depth + 1) for key, value in content.items()
                }
            else:
                known[id(content)] = type(content)(
                    [self._filled(value, known, depth + 1) for value in content]
                )
        return known[id(content)]


@contextmanager
def open_torch_file(path: Path) -> Iterator[TorchFile]:
    """Open a file of torch.save and read what it declares.

    Raises DamagedFileError for any other file, UserError for what is no file or may not be read.
    """
    with BoundedFile(path, str(path)) as file:
        start = file.read(len(_ZIP))
        file.seek(0)
        if start == _ZIP:
            with _archive(file) as opened:
                yield opened
        elif start.startswith(_PICKLE):
            yield _sequence(file)
        else:
            raise DamagedFileError("it is not a file of torch.save, or cut off")


@contextmanager
def _archive(file: BoundedFile) -> Iterator[TorchFile]:
    archive, members = open_zip(file, (zipfile.ZIP_STORED,))
    with archive:
        folders = [name.partition("/")[0] for name in members if name.endswith("/data.pkl")]
        if len(folders) != 1 or f"{folders[0]}/data.pkl" not in members:
            raise DamagedFileError("it is a zip archive, but not of torch.save")
        folder = folders[0]

        def content(member: zipfile.ZipInfo, most: int) -> Tensor:
            if member.file_size > most:
                raise DamagedFileError(
                    f"its member {member.filename[:80]} has {member.file_size:,} bytes: expected "
                    f"at most {most:,}"
                )
            try:
                stream = archive.open(member)
            except Exception as error:  # a damaged header, as of the whole archive
                raise DamagedFileError(" ".join(str(error).split())) from error
            with stream:
                return read_bytes(stream, member.file_size)

        def storage(wanted: Storage) -> Tensor:
            member = members.get(f"{folder}/data/{wanted.key}")
            if member is None or member.file_size != wanted.size:
                raise DamagedFileError(f"its storage {wanted.key[:80]} is missing or has two sizes")
            return content(member, wanted.size)

        pickled = content(members[f"{folder}/data.pkl"], MOST_PICKLE)
        order = members.get(f"{folder}/byteorder")
        named = b"little" if order is None else bytes(content(order, 16).numpy())
        if named not in (b"little", b"big"):
            raise DamagedFileError(f"it names the byte order {named!r}")
        opened = read_pickle(io.BytesIO(pickled.numpy().tobytes()))
        yield TorchFile(opened, storage, swapped=named == b"big")


def _sequence(file: BoundedFile) -> TorchFile:
    """Pickles of a magic number, a version, the machine, the content and the storages' keys.

    The storages follow, each as its count of numbers (int64) and its bytes.
    """
    start = io.BytesIO(read_bytes(file, min(file.size, MOST_PICKLE)).numpy().tobytes())
    if read_pickle(start) != _MAGIC:
        raise DamagedFileError("it is not a file of torch.save")
    read_pickle(start)
    machine = read_pickle(start)
    content, keys = read_pickle(start), read_pickle(start)
    places: dict[str, tuple[int, int]] = {}
    declared = _storages(content)
    at = start.tell()
    if not isinstance(machine, dict) or not isinstance(keys, list):
        raise DamagedFileError("it is not a file of torch.save")
    for key in keys:
        storage = declared.get(str(key))
        if storage is None:
            raise DamagedFileError("it holds a storage that no tensor lies in")
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or struct.unpack("<q", head)[0] != storage.numel:
            raise DamagedFileError(f"its storage {storage.key[:80]} has two sizes, or is cut off")
        places[storage.key] = at + 8, storage.size
        at += 8 + storage.size
    if at > file.size:
        raise DamagedFileError("it is cut off")

    def read(wanted: Storage) -> Tensor:
        if wanted.key not in places:
            raise DamagedFileError(f"its storage {wanted.key[:80]} is missing")
        place, size = places[wanted.key]
        file.seek(place)
        return read_bytes(file, size)

    return TorchFile(content, read, swapped=machine.get("little_endian") is False)


def _storages(content: Any) -> Mapping[str, Storage]:
    """The storages of a content by key."""
    found: dict[str, Storage] = {}
    seen: set[int] = set()
    waiting = [content]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Declared):
            if found.setdefault(each.storage.key, each.storage) != each.storage:
                raise DamagedFileError(f"its storage {each.storage.key[:80]} has two sizes")
        elif isinstance(each, dict | list | tuple) and id(each) not in seen:
            seen.add(id(each))
            waiting += each.values() if isinstance(each, dict) else each
    return found
