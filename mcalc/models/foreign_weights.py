"""Files of Caffe and of ONNX as entries under Caffe's names, compared with a network of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from torch import nn

from mcalc.errors import UserError
from mcalc.models.backbone import CAFFE_BGR_MEAN
from mcalc.models.caffe_file import open_caffe
from mcalc.models.network_steps import Kind, Step, UnreadableStepsError, steps_of, walk
from mcalc.models.onnx_file import OnnxFile, open_onnx
from mcalc.models.onnx_graph import graph_steps
from mcalc.models.step_match import OtherNetworkError, match
from mcalc.models.weight_entry import Entry, Opened, plain

_NEAR = 3.0
"""Grey levels by which a channel's mean may differ from Caffe's, as that of a mean image does."""
_MATLAB = "MATLAB"
"""What the producer of MATLAB's exports begins with."""
_USUAL_SIZE = (224, 224)
"""Of an input whose file leaves its size open; the weights do not depend on it."""
_TURNED = "first layer turned from RGB to BGR"
_CAFFE_KINDS = {Kind.convolution: "Convolution", Kind.max_pool: "Pooling"}


@contextmanager
def caffe_weights(
    model: nn.Module, path: Path, key: Callable[[str], str], most_bytes: int
) -> Iterator[Opened]:
    """The weights of a `.caffemodel`.

    Raises DamagedFileError and UserError as `open_caffe`, and UserError for a file whose layers
    normalise at another place than ours.
    """
    file = open_caffe(path, f"backbone.weights={path}", most_bytes)
    shapes = {key(name): tuple(value.shape) for name, value in model.state_dict().items()}
    entries = file.entries(shapes)
    theirs = file.before_normalisation()
    unchecked: tuple[str, ...] = ()
    try:
        ours = [_CAFFE_KINDS.get(kind, str(kind)) for kind in _before_normalisation(model)]
    except UnreadableStepsError:
        ours = theirs
        unchecked = (
            f"mcalc does not follow every step of {type(model).__name__}: names and shapes alone "
            "were compared",
        )
    if not theirs and not unchecked:
        unchecked = (
            "the file does not say how its layers follow on another: names and shapes alone were "
            "compared, which CaffeNet shares with AlexNet",
        )
    elif theirs != ours:
        raise UserError(
            f"backbone.weights={path} is not a file of {type(model).__name__}: its local response "
            f"normalisations come after {_listed(theirs)}, ours after {_listed(ours)} "
            "(CaffeNet has AlexNet's shapes and pools before it normalises); give this network's "
            "own weights, or the backbone that the file belongs to"
        )
    name = f" {file.name!r}" if file.name else ""
    yield Opened(entries, f"Caffe network{name}, {len(file.layers)} layers", (), unchecked)


@contextmanager
def onnx_weights(
    model: nn.Module, path: Path, key: Callable[[str], str], most_bytes: int
) -> Iterator[Opened]:
    """The weights of an `.onnx`, by the steps of its graph.

    Raises DamagedFileError and UserError as `open_onnx`, and UserError for another network.
    """
    where = f"backbone.weights={path}"
    with open_onnx(path, where, most_bytes) as file:
        theirs = graph_steps(file, where)
        try:
            ours = steps_of(model, file.image_size or _USUAL_SIZE)
            matched = match(ours, theirs)
            is_rgb = _is_rgb(matched.mean, file.model.producer_name)
        except UnreadableStepsError as error:
            raise UserError(
                f"{where} cannot be compared with {type(model).__name__}, {error}"
            ) from error
        except OtherNetworkError as error:
            raise UserError(
                f"{where} is not a file of {type(model).__name__}: {error}; give this network's "
                "own weights, or the backbone that the file belongs to"
            ) from error
        entries = {key(name): entry for name, entry in matched.entries.items()}
        if is_rgb:
            first = key(f"{_first_layer(ours).name}.weight")
            entries[first] = _turned(entries[first])
        for name in _not_taken(file, matched.entries):
            entries[name] = file.constants[name].entry()
        rounded: tuple[str, ...] = ()
        if matched.rounded:
            rounded = (
                f"how sizes are rounded: {len(matched.rounded)} of its pools round otherwise than "
                f"Caffe's (first: {matched.rounded[-1]}), on which no weight depends",
            )
        changed = (_TURNED,) if is_rgb else ()
        yield Opened(entries, _description(file, matched.mean), changed, rounded)


def _listed(kinds: list[str]) -> str:
    return " and ".join(plain(kind, 30) for kind in kinds[:4]) + (", ..." if kinds[4:] else "")


def _is_rgb(mean: tuple[float, ...], producer: str) -> bool:
    """Whether a network takes red, green, blue.

    The mean that it subtracts says so; without one, MATLAB's networks do, and Caffe's take blue,
    green, red. Raises OtherNetworkError for a mean of neither, as of images from 0 to 1.
    """
    if not mean:
        return producer.startswith(_MATLAB)
    for order, is_rgb in ((CAFFE_BGR_MEAN, False), (CAFFE_BGR_MEAN[::-1], True)):
        if all(abs(there - here) <= _NEAR for there, here in zip(mean, order, strict=True)):
            return is_rgb
    shown = ", ".join(f"{value:.4g}" for value in mean)
    raise OtherNetworkError(
        f"it subtracts {shown} from its input's channels, where Caffe's networks subtract "
        f"{', '.join(f'{value:g}' for value in CAFFE_BGR_MEAN)} in this or the reverse order"
    )


def _turned(entry: Entry) -> Entry:
    """Weights (out, 3, height, width) with their input's channels in the reverse order."""
    return replace(entry, read=lambda: entry.read().flip(1))


def _first_layer(ours: Step) -> Step:
    return next(step for step in walk(ours) if step.inputs and step.inputs[0].kind is Kind.image)


def _not_taken(file: OnnxFile, entries: Mapping[str, Entry]) -> list[str]:
    """Constants that are weights of a layer that ours lacks, or of none."""
    taken = {name for entry in entries.values() for name in entry.parts or (entry.storage,)}
    read: set[str] = set()
    for node in file.model.graph.node:
        is_layer = node.op_type in ("Conv", "Gemm", "MatMul")
        read |= set(node.input[:1] if is_layer else node.input)
    return [
        name
        for name, constant in file.constants.items()
        if constant.floating and name not in taken and name not in read
    ]


def _description(file: OnnxFile, mean: tuple[float, ...]) -> str:
    model = file.model
    versions = {each.domain: each.version for each in model.opset_import}
    producer = plain(f"{model.producer_name or 'unknown'} {model.producer_version}").strip()
    said = [
        f"ONNX graph {plain(model.graph.name, 40)!r} of {len(model.graph.node)} nodes",
        f"operators of version {versions.get('', versions.get('ai.onnx', 'unknown'))}",
        f"made by {producer}",
    ]
    if mean:
        said.append(f"subtracts {', '.join(f'{value:.2f}' for value in mean)} from its input")
    return ", ".join(said)


def _before_normalisation(model: nn.Module) -> list[Kind]:
    """What each local response normalisation of ours follows, from input to output."""
    found: list[Kind] = []
    for step in walk(steps_of(model, _USUAL_SIZE)):
        if step.kind is Kind.normalise:
            (source,) = step.inputs
            while source.kind is Kind.relu:
                (source,) = source.inputs
            found.append(source.kind)
    return found[::-1]
