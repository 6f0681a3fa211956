"""The pickles of torch.save, read without building anything that they do not need.

`torch.load` builds every storage that a pickle names, of the size that it claims, before anybody
can compare it with a network. Here a tensor becomes a `Declared`: its type, shape and the storage
it lies in. Only the operations that torch.save writes for tensors, numbers, text and containers of
them are understood (Python's `pickletools` documents them); all others are refused, so that no file
runs code or grows. Their number is bounded.
"""

from __future__ import annotations

import math
import pickletools
from typing import IO, Any, NamedTuple

import torch

from mcalc.models.bounded_zip import DamagedFileError

MOST_OPERATIONS = 600_000
"""Of one pickle: 40 for each parameter of a state_dict, and 12 for each evaluation of a run."""
_MOST_DIMENSIONS = 16

DTYPES = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}
"""torch's storage classes: `torch.FloatStorage` holds float32."""


class Storage(NamedTuple):
    """The numbers behind one or several tensors, by their key in the file."""

    key: str
    dtype: torch.dtype
    numel: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.numel * self.dtype.itemsize


class Declared(NamedTuple):
    """A tensor as a pickle declares it: inside its storage, and none of its elements twice."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _Global(NamedTuple):
    """A class or function of Python that a pickle names."""

    name: str


_MARK = object()
_INTEGERS = ("BININT", "BININT1", "BININT2", "LONG1")
_TEXTS = ("BINUNICODE", "BINSTRING", "SHORT_BINSTRING")  # the latter two are Python 2's
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


def read_pickle(stream: IO[bytes]) -> Any:
    """The next pickle of a stream: tensors as `Declared`, dicts, lists, tuples, text, numbers.

    Raises DamagedFileError for anything that a plain state_dict or checkpoint does not hold.
    """
    try:
        return _run(stream)
    except DamagedFileError:
        raise
    except Exception as error:
        # damaged bytes make any operation meet anything: no narrower list is complete
        raise DamagedFileError(f"its pickle is damaged ({type(error).__name__})") from error


def _run(stream: IO[bytes]) -> Any:
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    argument: Any
    for number, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        if number > MOST_OPERATIONS:
            raise DamagedFileError(f"its pickle has more than {MOST_OPERATIONS:,} operations")
        name = operation.name
        if name in _INTEGERS or name in _TEXTS or name == "BINFLOAT":
            stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "EMPTY_TUPLE":
            stack.append(())
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "GLOBAL":
            stack.append(_Global(argument))
        elif name == "STOP":
            (result,) = stack
            return result
        elif name != "PROTO":
            _combine(name, stack)
    raise AssertionError("pickletools ends with STOP, or refuses")


def _combine(name: str, stack: list[Any]) -> None:
    """An operation that takes values off the stack."""
    if name == "TUPLE":
        stack.append(tuple(_marked(stack)))
    elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
        count = int(name[-1])
        values = tuple(stack[-count:])
        del stack[-count:]
        stack.append(values)
    elif name == "APPEND":
        value = stack.pop()
        _last(stack, list).append(value)
    elif name == "APPENDS":
        values = tuple(_marked(stack))
        _last(stack, list).extend(values)
    elif name == "SETITEM":
        value, key = stack.pop(), stack.pop()
        _put(_last(stack, dict), key, value)
    elif name == "SETITEMS":
        pairs = _marked(stack)
        content = _last(stack, dict)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            _put(content, key, value)
    elif name == "BINPERSID":
        stack.append(_storage(stack.pop()))
    elif name == "REDUCE":
        arguments, function = stack.pop(), stack.pop()
        stack.append(_call(function, arguments))
    elif name == "BUILD":
        stack.pop()  # attributes of a state_dict, `_metadata`, which nothing here needs
        _last(stack, dict)
    else:
        raise DamagedFileError(f"it holds more than plain tensors ({name})")


def _marked(stack: list[Any]) -> list[Any]:
    """What lies above the last mark, taken off with it."""
    at = len(stack) - 1 - stack[::-1].index(_MARK)
    values = stack[at + 1 :]
    del stack[at:]
    return values


def _last(stack: list[Any], kind: type) -> Any:
    if not isinstance(stack[-1], kind):
        raise DamagedFileError(f"it holds a {type(stack[-1]).__name__} where a {kind.__name__} is")
    return stack[-1]


def _put(content: dict[Any, Any], key: Any, value: Any) -> None:
    # the hash of a tuple of tuples may take for ever
    if not isinstance(key, str | int):
        raise DamagedFileError(f"it holds a {type(key).__name__} as a key")
    content[key] = value


def _storage(identity: Any) -> Storage:
    """`("storage", torch.FloatStorage, "0", "cpu", 12)`, and `view` behind it in old files."""
    kind, storage_type, key, _, numel, *view = identity
    if not isinstance(storage_type, _Global):
        raise DamagedFileError("it names no class of storages")
    module, _, name = storage_type.name.partition(" ")
    dtype = DTYPES.get(name.removesuffix("Storage"))
    if kind != "storage" or module not in ("torch", "torch.cuda") or dtype is None:
        raise DamagedFileError(f"it holds more than plain tensors ({storage_type.name[:80]})")
    if any(each is not None for each in view):
        raise DamagedFileError("it holds parts of storages, as only PyTorch 0.1 wrote them")
    return Storage(str(key), dtype, _whole(numel))


def _call(function: Any, arguments: Any) -> Any:
    name = function.name if isinstance(function, _Global) else type(function).__name__
    match name, arguments:
        case "collections OrderedDict", ():
            return {}
        case "collections OrderedDict", ([*pairs],):
            content: dict[Any, Any] = {}
            for key, value in pairs:
                _put(content, key, value)
            return content
        case "torch._utils _rebuild_tensor" | "torch._utils _rebuild_tensor_v2", (
            Storage() as storage,
            offset,
            shape,
            stride,
            *more,
        ):
            # whether it needs a gradient, hooks, and what a view has to do to its numbers
            marks = next(iter(more[2:]), None)
            if marks:
                raise DamagedFileError(
                    f"it holds numbers that are still to be changed ({str(marks)[:80]})"
                )
            return _declared(storage, offset, shape, stride)
        case "torch._utils _rebuild_parameter", (Declared() as tensor, *_):
            return tensor
        case "torch Size", (tuple() as shape,):
            return shape
    raise DamagedFileError(f"it holds more than plain tensors ({str(name)[:80]})")


def _declared(storage: Storage, offset: Any, shape: Any, stride: Any) -> Declared:
    if not (isinstance(shape, tuple) and isinstance(stride, tuple) and len(shape) == len(stride)):
        raise DamagedFileError("it holds a tensor without a shape")
    if len(shape) > _MOST_DIMENSIONS:
        raise DamagedFileError(f"it holds a tensor of {len(shape)} dimensions")
    tensor = Declared(
        storage, _whole(offset), tuple(map(_whole, shape)), tuple(map(_whole, stride))
    )
    numel = math.prod(tensor.shape)
    last = tensor.offset + sum(
        (length - 1) * step for length, step in zip(tensor.shape, tensor.stride, strict=True)
    )
    # a stride of 0 makes a large tensor of one element
    if numel and (numel > storage.numel or last >= storage.numel):
        raise DamagedFileError(
            f"it declares a tensor of shape {tensor.shape} in {storage.numel:,} numbers"
        )
    return tensor


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**60:
        raise DamagedFileError("it holds a size that is no whole number from 0")
    return value
