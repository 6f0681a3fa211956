"""Grad-CAM: where on an image a network finds what raises the log odds of malignant.

R. R. Selvaraju et al., "Grad-CAM", ICCV 2017, by captum's `LayerGradCam`, on the network's last
feature maps: the last ones of more than one position below its head, before they are pooled. Of a
network of tokens these are the maps that its tokens are cut from.

A map shows what the network's answer depends on, at the width of its last maps (7 to 14 positions
across), and no more. Whether that is the lesion is another question: `mcalc.attribution.controls`
has maps that know nothing of the trained network or of the image, to be looked at beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from mcalc.models.saved import SavedNetwork
from mcalc.models.tracing import REFUSALS, trace

MALIGNANT = 1
"""Place of malignant among the logits."""
_POOLS = (
    nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Dropout,
    nn.Dropout2d, nn.Identity,
)  # fmt: skip
"""Layers that only make maps smaller or pass them on."""
_DIMENSIONS = 4
"""Of maps: images, channels, height, width."""
_MARK = "mcalc_last_maps"
"""Name of the layer that is put behind the last maps, in a copy of the network's steps."""


class NoHeatMapsError(Exception):
    """A network has no maps to make heat maps of; the message is a sentence that says why."""


def heat_maps(
    network: SavedNetwork, images: npt.NDArray[np.uint8], batch: int = 16
) -> npt.NDArray[np.float32]:
    """Where each image raises the log odds of malignant.

    Args:
        network: on any device; it is as before afterwards, mode and gradients included.
        images: grey 0..255, prepared as in training, square; shape (n, H, W).
        batch: images at a time.

    Returns:
        (n, H, W), 0..1: 1 at the hottest place of each image, 0 throughout where nothing speaks
        for malignant.

    Raises NoHeatMapsError where the network has no maps.
    """
    if not len(images):
        return np.zeros(images.shape, dtype=np.float32)
    size = (int(images.shape[1]), int(images.shape[2]))
    device = network.mean.device
    found = []
    with _undisturbed(network), torch.enable_grad():
        model, layer = _last_maps(network, size)
        camera = LayerGradCam(_log_odds(model), layer)
        for start in range(0, len(images), batch):
            part = torch.from_numpy(np.array(images[start : start + batch]))[:, None]
            # a leaf with a gradient, so that frozen layers have one too
            channels = network.channels(part.to(device)).requires_grad_()
            heat = camera.attribute(channels, relu_attributions=True)
            heat = LayerAttribution.interpolate(heat, size, "bilinear")[:, 0]  # (B, H, W)
            found.append(heat.detach().float().cpu().numpy())
    return scaled(np.concatenate(found))


def scaled(maps: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Maps (n, H, W), 0 or more, each divided by its highest value; those of zeros as they are."""
    highest = maps.max(axis=(1, 2), keepdims=True)
    return np.asarray(maps / np.where(highest > 0, highest, 1), dtype=np.float32)


def _log_odds(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """Log odds of malignant, (B,): with two classes, the difference of their logits."""

    def odds(channels: Tensor) -> Tensor:
        logits = model(channels)  # (B, classes)
        others = [place for place in range(logits.shape[1]) if place != MALIGNANT]
        of_malignant: Tensor = logits[:, MALIGNANT]  # (B,)
        return of_malignant - torch.logsumexp(logits[:, others], dim=1)

    return odds


def _last_maps(network: SavedNetwork, size: tuple[int, int]) -> tuple[nn.Module, nn.Module]:
    """A network that computes the same, and its layer whose output is the last maps."""
    channels = torch.zeros(1, 3, *size, device=network.mean.device)
    try:
        graph = trace(network.model)
        with torch.no_grad():
            ShapeProp(graph).propagate(channels)
    except REFUSALS:
        return network.model, _last_layer(network, channels)
    place = _last_step(graph, network.head)
    if place is None:
        raise _no_maps(network)
    # a layer of its own, as a network may compute its last maps in a function (F.relu, torch.cat)
    graph.add_module(_MARK, nn.Identity())
    with graph.graph.inserting_after(place):
        marked = graph.graph.call_module(_MARK, (place,))
    place.replace_all_uses_with(marked)
    marked.args = (place,)
    graph.recompile()
    return graph, graph.get_submodule(_MARK)


def _last_step(graph: fx.GraphModule, head: str) -> fx.Node | None:
    above: set[fx.Node] = set()
    maps = _maps(graph)
    last = None
    for node in graph.graph.nodes:
        if node.target == head or any(each in above for each in node.all_input_nodes):
            above.add(node)
            continue
        if node.op in ("placeholder", "output", "get_attr") or _only_passes_on(node, graph):
            continue
        if node in maps and _is_map(_shape(node)):
            last = node
    return last


def _maps(graph: fx.GraphModule) -> set[fx.Node]:
    """What layers of maps take and give, and what is computed of that in four dimensions.

    Four dimensions alone say little: attention has them too (images, heads, tokens, tokens).
    """
    maps: set[fx.Node] = set()
    for node in graph.graph.nodes:
        if _is_of_maps(node, graph):
            maps.update((node, *node.all_input_nodes))
    for node in graph.graph.nodes:
        if len(_shape(node)) == _DIMENSIONS and not maps.isdisjoint(node.all_input_nodes):
            maps.add(node)
    return maps


def _is_of_maps(node: fx.Node, graph: fx.GraphModule) -> bool:
    """Whether a step is one of PyTorch's two-dimensional ones, as Conv2d or avg_pool2d."""
    if node.op == "call_module":
        return type(graph.get_submodule(str(node.target))).__name__.endswith("2d")
    return str(getattr(node.target, "__name__", node.target)).endswith("2d")


def _shape(node: fx.Node) -> Sequence[int]:
    return getattr(node.meta.get("tensor_meta"), "shape", ())


def _only_passes_on(node: fx.Node, graph: fx.GraphModule) -> bool:
    if node.op == "call_module":
        return isinstance(graph.get_submodule(str(node.target)), _POOLS)
    name = str(getattr(node.target, "__name__", node.target))
    return "pool" in name or "dropout" in name


def _last_layer(network: SavedNetwork, channels: Tensor) -> nn.Module:
    """Of a network whose steps torch.fx cannot read: the last layer that gave maps, run once."""
    called: list[tuple[nn.Module, Sequence[int]]] = []
    head = network.model.get_submodule(network.head)
    hooks = [
        module.register_forward_hook(
            lambda layer, _, output: called.append((layer, getattr(output, "shape", ())))
        )
        for module in network.model.modules()
        if not any(module.children())
    ]
    try:
        with torch.no_grad():
            network.model(channels)
    finally:
        for hook in hooks:
            hook.remove()
    layers = [layer for layer, _ in called]
    below = called[: layers.index(head)] if head in layers else called
    # from tokens (images, tokens, channels) on, four dimensions may be those of attention
    tokens = (place for place, (_, shape) in enumerate(below) if len(shape) == _DIMENSIONS - 1)
    for layer, shape in reversed(below[: next(tokens, None)]):
        if _is_map(shape) and not isinstance(layer, _POOLS) and layers.count(layer) == 1:
            return layer
    raise _no_maps(network)


def _is_map(shape: Sequence[int]) -> bool:
    """Whether maps have this shape: they are square, as images are, with channels before."""
    return len(shape) == _DIMENSIONS and shape[2] == shape[3] > 1


def _no_maps(network: SavedNetwork) -> NoHeatMapsError:
    return NoHeatMapsError(
        f"{type(network.model).__name__} has no layer below its head that gives maps of more than "
        "one position, so that it has no heat maps"
    )


@contextmanager
def _undisturbed(network: nn.Module) -> Iterator[None]:
    """In evaluation mode; each part is in the mode it was in afterwards."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
