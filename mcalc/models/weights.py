"""Where weights come from: drawn at random, downloaded, or read from a file.

A file must match its network completely: the same names and shapes, finite floating point. Both are
compared with what the file declares before its numbers are read, and a pickle is read as plain
tensors only, so that a file from elsewhere can neither run code nor fill the memory.
"""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError
from urllib.parse import urlparse

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import UninitializedParameter

from mcalc.config import CAFFE_SUFFIX, NPZ_SUFFIX, ONNX_SUFFIX, PICKLE_SUFFIXES
from mcalc.errors import UserError
from mcalc.file_digest import file_sha256
from mcalc.models.bounded_zip import DamagedFileError, OtherLayersError
from mcalc.models.npz_file import NpzFile, open_npz
from mcalc.models.tensors import tensors_of
from mcalc.models.torch_file import TorchFile, open_torch_file
from mcalc.models.torch_pickle import Declared
from mcalc.models.weight_entry import Entry, Opened, plain
from mcalc.models.weight_path import require_file

STALL_SECONDS = 10.0
"""A download is given up when the server is silent for longer than this."""

_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.")
"""torchvision names a weight file after the start of its SHA-256: `alexnet-owt-7be5be79.pth`."""

_BATCH_COUNTER = "num_batches_tracked"
"""A batch normalisation's integer counter, which files of old PyTorch versions lack."""
_VARIANCE = "running_var"
"""A batch normalisation's variance. Its root is not a number where it is negative."""

_DRAWN = (nn.Conv2d, nn.Linear)
_CONSTANT = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.PReLU)
"""Layers whose first weights follow from how they were made; the first is batch and instance
normalisation."""

_MOST_TIMES = 4
"""A file may have so many times the network's bytes: double precision, and room beside it."""
_MARGIN = 2**20
"""Bytes beyond that."""


class WeightsUnavailableError(UserError):
    """Named weights are not available (unlike a wrong file): random ones may be used instead."""


def initialise(model: nn.Module, generator: torch.Generator) -> None:
    """Draw every weight anew: Glorot-uniform weights, zero biases; batch norm 1 and 0.

    MATLAB, `convolution2dLayer` and `fullyConnectedLayer`, WeightsInitializer 'glorot' (the
    default): uniform, mean 0, variance 2 / (fan_in + fan_out). Measured on phantoms with AlexNet:
    He's 2 / fan_in grows the signal at each of three max-pools, so that the first losses are about
    30 and the ReLUs die; PyTorch's own 1 / (3 fan_in) loses it on the way; Glorot's learns.

    Other layers that begin with constants, whatever the seed, do so: PyTorch's normalisations and
    PReLU.

    Raises UserError for a module with parameters that are none of these, since it would keep
    weights that no seed controls.
    """
    for name, module in model.named_modules():
        own = [key for key, _ in module.named_parameters(recurse=False)]
        ruled = ("weight", "bias") if isinstance(module, (*_DRAWN, *_CONSTANT)) else ()
        if any(isinstance(each, UninitializedParameter) for each in module.parameters(False)):
            raise UserError(
                f"{type(module).__name__} has weights whose shapes are not known before an image: "
                "mcalc needs them when the network is built; give the layer its sizes"
            )
        if unruled := [key for key in own if key not in ruled]:
            place = f" ({name} of {type(model).__name__})" if name else ""
            raise UserError(
                f"{', '.join(unruled)} of {type(module).__name__}{place} cannot be drawn at "
                "random: only Conv2d, Linear, normalisation layers and PReLU can"
            )
        if isinstance(module, _DRAWN):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, _CONSTANT):
            module.reset_parameters()  # scale 1, offset 0, running mean 0 and variance 1


def bytes_of(model: nn.Module) -> int:
    """Bytes of a network's parameters and buffers."""
    return sum(int(value.nbytes) for value in tensors_of(model).values())


def download(url: str, stall_seconds: float = STALL_SECONDS) -> Path:
    """A weight file from torchvision's server, or from torch.hub's cache when it is there.

    The cache is `$TORCH_HOME/hub/checkpoints` (default `~/.cache/torch`). The file's SHA-256 must
    begin with the digits in its name, cached or not. Progress goes to stderr.

    Raises WeightsUnavailableError when the download fails in any way, UserError when a cached file
    is damaged.
    """
    name = PurePosixPath(urlparse(url).path).name
    in_name = _HASH_IN_NAME.search(name)
    expected = in_name.group(1) if in_name else ""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / name
    if cached.is_file():
        found = file_sha256(cached)
        if not found.startswith(expected):
            raise UserError(
                f"the cached weights {cached} are damaged: their SHA-256 begins {found[:8]}, "
                f"expected {expected}; delete the file and run again"
            )
        return cached
    previous = socket.getdefaulttimeout()
    # torch.hub has no timeout; without one a silent server would block a trial forever.
    socket.setdefaulttimeout(stall_seconds)
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(cached), hash_prefix=expected or None)
    except (OSError, HTTPException, RuntimeError) as error:  # RuntimeError: torch.hub's wrong hash
        if isinstance(error, HTTPError):
            error.close()  # it is the server's answer too, and holds the connection
        raise WeightsUnavailableError(
            f"backbone.weights=imagenet: cannot download {url} ({error}); give "
            f"backbone.weights=PATH of a copy of {name}, or put the copy into {cached.parent} "
            "(TORCH_HOME names another cache), or take random weights with backbone.weights=none "
            "or backbone.on_missing_weights=random"
        ) from error
    finally:
        socket.setdefaulttimeout(previous)
    return cached


@dataclass(frozen=True)
class Loaded:
    """What a file gave."""

    what: str
    """What the file is, in words."""
    entries: Mapping[str, Entry]
    """What filled the network, by our parameters' names; it cannot be read any more."""
    changed: tuple[str, ...] = ()
    """What was done to its numbers, for the record."""
    unchecked: tuple[str, ...] = ()
    """What the file does not say and was therefore not compared."""


def load_file(
    model: nn.Module,
    path: Path,
    *,
    npz_key: Callable[[str], str] | None = None,
    optional: Collection[str] = (),
) -> Loaded:
    """Fill a network from a file that holds it whole.

    Args:
        model: the network with the classes the file was trained on; changed in place.
        path: a `.pth` or `.pt` with a plain state_dict, or, where npz_key is given, a `.npz`, a
            `.caffemodel` or an `.onnx`.
        npz_key: our parameter's name -> Caffe's, which a `.npz` has too.
        optional: first parts of names (`aux1`) that a file may hold beyond the network.

    Raises UserError for a missing, unreadable or unsupported file, and for one of another network,
    naming the first missing, unexpected and mis-shaped entry and how many there are of each, and
    for numbers that are not finite in 32 bits or that would make the network's so. The network is
    as before then.
    """
    suffix = path.suffix.lower()
    readable = (
        (*PICKLE_SUFFIXES, NPZ_SUFFIX, CAFFE_SUFFIX, ONNX_SUFFIX) if npz_key else PICKLE_SUFFIXES
    )
    if suffix not in readable:
        raise UserError(
            f"backbone.weights={path}: {type(model).__name__} reads {', '.join(readable)} files, "
            f"not {suffix or 'one without an ending'}; give a file of one of these kinds"
        )
    require_file(path)
    of_caffe = npz_key if npz_key and suffix not in PICKLE_SUFFIXES else None
    file_keys = {key: of_caffe(key) if of_caffe else key for key in model.state_dict()}
    try:
        with _opened(model, path, suffix, of_caffe) as found:
            kept = _fitting(model, path, found.entries, file_keys, optional)
            values = {key: entry.read() for key, entry in kept.items()}
    except DamagedFileError as error:
        raise _unreadable(path, suffix, error) from error
    state = model.state_dict()
    filled = {
        key: values[file_key].to(state[key].dtype)
        for key, file_key in file_keys.items()
        if file_key in values
    }
    _require_finite(path, {file_keys[key]: value for key, value in filled.items()})
    _require_variances(
        path, {file_keys[key]: value for key, value in filled.items() if key.endswith(_VARIANCE)}
    )
    # A plain dict has no version, and so PyTorch itself adds the counters that old files lack.
    model.load_state_dict(filled)
    used = {key: kept[file_keys[key]] for key in filled}
    return Loaded(found.what, used, found.changed, found.unchecked)


@contextmanager
def _opened(
    model: nn.Module, path: Path, suffix: str, of_caffe: Callable[[str], str] | None
) -> Iterator[Opened]:
    """A file's entries, which can be read while it is open."""
    if of_caffe is None:
        with open_torch_file(path) as file:
            yield Opened(_tensors(path, file), "state_dict of PyTorch")
    elif suffix == NPZ_SUFFIX:
        with open_npz(path) as npz:
            yield Opened(_arrays(npz), "arrays of numpy under Caffe's names")
    else:
        # late: protobuf, and for ONNX its package
        from mcalc.models.foreign_weights import caffe_weights, onnx_weights

        reader = caffe_weights if suffix == CAFFE_SUFFIX else onnx_weights
        with reader(model, path, of_caffe, _most_bytes(model)) as foreign:
            yield foreign


def _most_bytes(model: nn.Module) -> int:
    return _MOST_TIMES * bytes_of(model) + _MARGIN


def _arrays(file: NpzFile) -> dict[str, Entry]:
    return {
        name: Entry(
            array.shape,
            str(array.dtype.newbyteorder("=")),
            array.dtype.kind == "f",
            partial(file.tensor, name),
            name,
            array.member.file_size,
        )
        for name, array in file.arrays.items()
    }


def _tensors(path: Path, file: TorchFile) -> dict[str, Entry]:
    content = file.content
    if not isinstance(content, dict) or any(not isinstance(v, Declared) for v in content.values()):
        held = "a Tensor" if isinstance(content, Declared) else f"a {type(content).__name__}"
        if isinstance(content, dict):
            held = f"a mapping of {', '.join(str(key)[:40] for key in list(content)[:3])}, ..."
        raise UserError(
            f"backbone.weights={path}: expected a state_dict (parameter name -> tensor), found "
            f"{held}; save it anew with torch.save(model.state_dict(), PATH)"
        )
    return {
        str(key): Entry(
            value.shape,
            str(value.storage.dtype).removeprefix("torch."),
            value.storage.dtype.is_floating_point,
            partial(file.tensor, value),
            value.storage.key,
            value.storage.size,
        )
        for key, value in content.items()
    }


def _fitting(
    model: nn.Module,
    path: Path,
    entries: Mapping[str, Entry],
    file_keys: Mapping[str, str],
    optional: Collection[str],
) -> dict[str, Entry]:
    """The entries that fill the network. Raises UserError where they do not, before any is read."""
    # the positions of Swin's windows are whole numbers in the network too
    whole = {
        file_keys[key] for key, own in model.state_dict().items() if not own.is_floating_point()
    }
    for key, entry in entries.items():
        if not entry.floating and key not in whole and not key.endswith(_BATCH_COUNTER):
            raise _quantised(path, plain(key), entry.dtype)
    kept = {key: entry for key, entry in entries.items() if key.split(".")[0] not in optional}
    _require_fit(model, path, {key: entry.shape for key, entry in kept.items()}, file_keys)
    most = _most_bytes(model)
    held = sum({entry.storage: entry.size for entry in kept.values()}.values())
    if held > most:
        raise UserError(
            f"backbone.weights={path}: its {len(kept)} parameters lie in {held:,} bytes: expected "
            f"at most {most:,} for {type(model).__name__}; save it anew with "
            "torch.save(model.state_dict(), PATH)"
        )
    return kept


def _require_finite(path: Path, values: Mapping[str, Tensor]) -> None:
    # a minimum or maximum takes no memory, and NaN passes through both
    wrong = [
        key
        for key, value in values.items()
        if value.is_floating_point()
        and value.numel()
        and not all(math.isfinite(bound) for bound in torch.aminmax(value))
    ]
    if wrong:
        raise UserError(
            f"backbone.weights={path}: {len(wrong)} of {len(values)} parameters hold values that "
            f"are no finite 32-bit numbers (first: {wrong[0]}): the file is damaged, or its "
            "training diverged; give other weights"
        )


def _require_variances(path: Path, values: Mapping[str, Tensor]) -> None:
    wrong = [key for key, value in values.items() if (value < 0).any()]
    if wrong:
        raise UserError(
            f"backbone.weights={path}: {len(wrong)} of {len(values)} variances are negative "
            f"(first: {wrong[0]}), which no batch normalisation has: the file is damaged; give "
            "other weights"
        )


def _unreadable(path: Path, suffix: str, error: DamagedFileError) -> UserError:
    if isinstance(error, OtherLayersError):
        return UserError(
            f"backbone.weights={path}: {error}: it is of another network, or of one that was "
            "quantised or taken apart, as PyTorch's exporter does with LRN; docs/weights.md says "
            "which files are read"
        )
    if suffix not in PICKLE_SUFFIXES:
        kinds = {NPZ_SUFFIX: "an .npz of plain arrays", CAFFE_SUFFIX: "a file of Caffe"}
        return UserError(
            f"backbone.weights={path}: not readable as {kinds.get(suffix, 'a file of ONNX')} "
            f"({error}): the file is damaged or of another kind; get or make it anew "
            "(docs/weights.md says how)"
        )
    return UserError(
        f"backbone.weights={path}: not readable as plain tensors ({error}): the file is damaged or "
        "holds more than a state_dict; save it anew with torch.save(model.state_dict(), PATH)"
    )


def _quantised(path: Path, key: str, dtype: str) -> UserError:
    return UserError(
        f"backbone.weights={path}: {key} is {dtype}, but only floating-point weights are read, "
        "not quantised ones; give the network's float32 weights"
    )


def _require_fit(
    model: nn.Module,
    path: Path,
    found: Mapping[str, tuple[int, ...]],
    file_keys: Mapping[str, str],
) -> None:
    shapes = {file_keys[key]: tuple(value.shape) for key, value in model.state_dict().items()}
    missing = [key for key in shapes if key not in found and not key.endswith(_BATCH_COUNTER)]
    unexpected = [plain(key) for key in found if key not in shapes]
    misshaped = [
        f"{key} is {found[key]}, expected {shape}"
        for key, shape in shapes.items()
        if key in found and found[key] != shape
    ]
    faults = [
        f"{len(those)} {kind} (first: {those[0]})"
        for kind, those in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", misshaped),
        )
        if those
    ]
    if faults:
        raise UserError(
            f"backbone.weights={path} is not a file of {type(model).__name__} with its ImageNet "
            f"classifier: {', '.join(faults)}; give this network's own weights, or the backbone "
            "that the file belongs to"
        )
