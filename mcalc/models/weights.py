"""Where weights come from: drawn at random, downloaded, or read from a file.

A file must match its network completely: the same names and shapes, floating point. A pickle is
read as plain tensors only, so that a file from elsewhere cannot run code.
"""

from __future__ import annotations

import re
import socket
import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError
from urllib.parse import urlparse

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mcalc.errors import UserError
from mcalc.file_digest import file_sha256

PICKLE_SUFFIXES = (".pth", ".pt")
NPZ_SUFFIX = ".npz"

STALL_SECONDS = 10.0
"""A download is given up when the server is silent for longer than this."""

_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.")
"""torchvision names a weight file after the start of its SHA-256: `alexnet-owt-7be5be79.pth`."""

_BATCH_COUNTER = "num_batches_tracked"
"""A batch normalisation's integer counter, which files of old PyTorch versions lack."""


class WeightsUnavailableError(UserError):
    """Named weights are not available (unlike a wrong file): random ones may be used instead."""


def initialise(model: nn.Module, generator: torch.Generator) -> None:
    """Draw every weight anew: Glorot-uniform weights, zero biases; batch norm 1 and 0.

    MATLAB, `convolution2dLayer` and `fullyConnectedLayer`, WeightsInitializer 'glorot' (the
    default): uniform, mean 0, variance 2 / (fan_in + fan_out). Measured on phantoms with AlexNet:
    He's 2 / fan_in grows the signal at each of three max-pools, so that the first losses are about
    30 and the ReLUs die; PyTorch's own 1 / (3 fan_in) loses it on the way; Glorot's learns.

    Raises TypeError for a module with parameters that are none of these, since it would keep
    weights that no seed controls.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, _BatchNorm):
            module.reset_parameters()  # scale 1, offset 0, running mean 0 and variance 1
        elif any(True for _ in module.parameters(recurse=False)):
            raise TypeError(f"initialise knows no rule for {type(module).__name__}")


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


def load_file(
    model: nn.Module,
    path: Path,
    *,
    npz_key: Callable[[str], str] | None = None,
    optional: Collection[str] = (),
) -> None:
    """Fill a network from a file that holds it whole.

    Args:
        model: the network with the classes the file was trained on; changed in place.
        path: a `.pth` or `.pt` with a plain state_dict, or, where npz_key is given, a `.npz`.
        npz_key: our parameter's name -> its name in a `.npz`.
        optional: first parts of names (`aux1`) that a file may hold beyond the network.

    Raises UserError for a missing, unreadable or unsupported file, and for one of another network,
    naming the first missing, unexpected and mis-shaped entry and how many there are of each.
    """
    suffix = path.suffix.lower()
    readable = (*PICKLE_SUFFIXES, NPZ_SUFFIX) if npz_key else PICKLE_SUFFIXES
    if suffix not in readable:
        raise UserError(
            f"backbone.weights={path}: {type(model).__name__} reads {', '.join(readable)} files, "
            f"not {suffix or 'one without an ending'}; give a file of one of these kinds"
        )
    if not path.is_file():
        raise UserError(
            f"backbone.weights={path}: no such file; give the path of an existing weight file, "
            "backbone.weights=imagenet or backbone.weights=none"
        )
    if suffix == NPZ_SUFFIX and npz_key:
        entries = _read_npz(path)
        file_keys = {key: npz_key(key) for key in model.state_dict()}
    else:
        entries = _read_pickle(path)
        file_keys = {key: key for key in model.state_dict()}
    kept = {key: value for key, value in entries.items() if key.split(".")[0] not in optional}
    _require_fit(model, path, kept, file_keys)
    # A plain dict has no version, and so PyTorch itself adds the counters that old files lack.
    model.load_state_dict(
        {key: kept[file_key] for key, file_key in file_keys.items() if file_key in kept}
    )


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged pickle raises whatever its bytes happen to spell: no narrower list is complete.
        raise UserError(
            f"backbone.weights={path}: not readable as plain tensors ({type(error).__name__}): the "
            "file is damaged or holds more than a state_dict; save it anew with "
            "torch.save(model.state_dict(), PATH)"
        ) from error
    held = f"a {type(content).__name__}"
    if isinstance(content, Mapping):
        held = f"a mapping of {', '.join(map(str, list(content)[:3]))}, ..."
    if not isinstance(content, Mapping) or any(not torch.is_tensor(v) for v in content.values()):
        raise UserError(
            f"backbone.weights={path}: expected a state_dict (parameter name -> tensor), found "
            f"{held}; save it anew with torch.save(model.state_dict(), PATH)"
        )
    for key, value in content.items():
        if not value.is_floating_point() and not str(key).endswith(_BATCH_COUNTER):
            raise _quantised(path, str(key), str(value.dtype).removeprefix("torch."))
    return {str(key): value for key, value in content.items()}


def _read_npz(path: Path) -> dict[str, Tensor]:
    entries: dict[str, Tensor] = {}
    try:
        # Opened here, since np.load leaves its own file open when the archive is broken.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("one array, not an archive of arrays")
            for key in archive.files:
                array = archive[key]
                if array.dtype.kind != "f":
                    raise _quantised(path, key, str(array.dtype))
                entries[key] = torch.from_numpy(array.astype(np.float32))
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"backbone.weights={path}: not readable as an .npz of plain arrays ({error}): the file "
            "is damaged or of another kind; get or make it anew (mcalc.models.googlenet_bvlc says "
            "how)"
        ) from error
    return entries


def _quantised(path: Path, key: str, dtype: str) -> UserError:
    return UserError(
        f"backbone.weights={path}: {key} is {dtype}, but only floating-point weights are read, "
        "not quantised ones; give the network's float32 weights"
    )


def _require_fit(
    model: nn.Module, path: Path, entries: Mapping[str, Tensor], file_keys: Mapping[str, str]
) -> None:
    shapes = {file_keys[key]: tuple(value.shape) for key, value in model.state_dict().items()}
    missing = [key for key in shapes if key not in entries and not key.endswith(_BATCH_COUNTER)]
    unexpected = [key for key in entries if key not in shapes]
    misshaped = [
        f"{key} is {tuple(entries[key].shape)}, expected {shape}"
        for key, shape in shapes.items()
        if key in entries and tuple(entries[key].shape) != shape
    ]
    faults = [
        f"{len(found)} {kind} (first: {found[0]})"
        for kind, found in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", misshaped),
        )
        if found
    ]
    if faults:
        raise UserError(
            f"backbone.weights={path} is not a file of {type(model).__name__} with its ImageNet "
            f"classifier: {', '.join(faults)}; give this network's own weights, or the backbone "
            "that the file belongs to"
        )
