"""A network's steps as `torch.fx` reads them, with our own layers as one step each.

It runs the network's code once with stand-ins for tensors. What that code decides by itself, or
changes in the network, is then fixed as it came out.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import fx, nn

from mcalc.models.dropout import Dropout
from mcalc.models.local_response_norm import LocalResponseNorm

REFUSALS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What a network's own code raises for the stand-ins that torch.fx gives it in place of tensors."""
_IN_PLACE = frozenset(
    f"i{name}" for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")
) | {"setitem", "iand", "ior", "ixor", "ilshift", "irshift"}
"""Operators that change what is on their left."""


class UnsteadyError(ValueError):
    """What a network does depends on more than its input, its mode and its weights."""


class Tracer(fx.Tracer):
    """PyTorch's own, which takes PyTorch's layers as one step."""

    def __init__(self, head: nn.Module | None = None) -> None:
        """`head`: a layer that is one step whatever it is."""
        super().__init__()
        self._head = head

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one step: PyTorch's own, and those with steps that depend on data."""
        ours = m is self._head or isinstance(m, Dropout | LocalResponseNorm)
        return ours or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module) -> fx.GraphModule:
    """A network's steps in the mode that it is in. The network itself stays as it is.

    Raises one of REFUSALS where torch.fx cannot read them.
    """
    shadow = shadow_of(model)
    return fx.GraphModule(model, _with_constants(model, shadow, Tracer().trace(shadow)))


def steady_graph(model: nn.Module, head: nn.Module) -> fx.Graph:
    """A network's steps in the mode that it is in, which are the same in evaluation mode.

    Args:
        model: the network, which stays as it is.
        head: a layer of it that is taken as one step.

    Raises one of REFUSALS where torch.fx cannot read them. UnsteadyError is one: where they draw
    numbers, change what the network holds, or differ by mode otherwise than PyTorch's layers do.
    """
    name = next(name for name, part in model.named_modules() if part is head)
    found = []
    for evaluates in (False, True):
        shadow = shadow_of(model)
        if evaluates:
            shadow.eval()
        graph = _steady(shadow, shadow.get_submodule(name))
        found.append((shadow, graph))
    (one, graph), (other, again) = found
    if _text(graph) != _text(again) or _differ(_constants(one, graph), _constants(other, again)):
        raise UnsteadyError("its steps ask whether it is training")
    return _with_constants(model, one, graph)


def shadow_of(model: nn.Module) -> nn.Module:
    """A copy of a network with the same parameters, and buffers of its own."""
    kept: dict[int, object] = {id(each): each for each in model.parameters()}
    return copy.deepcopy(model, kept)


@contextmanager
def same_draws() -> Iterator[None]:
    """Inside, what PyTorch, NumPy and Python draw is the same each time; outside nothing changes.

    What draws from the operating system, as `np.random.default_rng()` without a seed, differs.
    """
    numpy, python = np.random.get_state(), random.getstate()  # noqa: NPY002 - packages draw by it
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            np.random.seed(0)  # noqa: NPY002
            random.seed(0)
            yield
    finally:
        np.random.set_state(numpy)  # noqa: NPY002
        random.setstate(python)


def _steady(shadow: nn.Module, head: nn.Module) -> fx.Graph:
    before = {name: tensor.clone() for name, tensor in shadow.named_buffers()}
    with same_draws():
        before_draws = generators()
        graph = Tracer(head).trace(shadow)
        if generators() != before_draws:
            raise UnsteadyError("its steps draw numbers")
    if _differ(before, dict(shadow.named_buffers())):
        raise UnsteadyError("its steps change its buffers")
    for step in graph.nodes:
        name = str(getattr(step.target, "__name__", step.target))
        changes = name in _IN_PLACE or (name.endswith("_") and not name.endswith("__"))
        if step.op in ("call_function", "call_method") and changes:
            changed = step.args[0] if step.args else None
            if isinstance(changed, fx.Node) and changed.op == "get_attr":
                raise UnsteadyError(f"its steps change its {changed.target}")
    return graph


def generators() -> tuple[object, ...]:
    """The states of the generators of PyTorch's CPU, NumPy and Python, to be compared."""
    kind, words, *rest = np.random.get_state()  # noqa: NPY002
    return (
        torch.get_rng_state().numpy().tobytes(),
        (kind, np.asarray(words).tobytes(), *rest),
        random.getstate(),
    )


def _text(graph: fx.Graph) -> str:
    return graph.python_code("self").src


def _constants(shadow: nn.Module, graph: fx.Graph) -> dict[str, torch.Tensor]:
    """The tensors that the steps read by themselves."""
    targets = [str(step.target) for step in graph.nodes if step.op == "get_attr"]
    found = {target: _at(shadow, target) for target in targets}
    return {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}


def _differ(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    if first.keys() != second.keys():
        return True
    pairs = ((value, second[name]) for name, value in first.items())
    return any(
        isinstance(other, fx.Proxy) or one.dtype != other.dtype or not torch.equal(one, other)
        for one, other in pairs
    )


def _with_constants(model: nn.Module, shadow: nn.Module, graph: fx.Graph) -> fx.Graph:
    """The graph, whose constants the network has from now on: torch.fx put them into the shadow."""
    for name in _constants(shadow, graph):
        if "." not in name and not hasattr(model, name):
            setattr(model, name, getattr(shadow, name))
    return graph


def _at(model: nn.Module, target: str) -> object:
    found: object = model
    for part in target.split("."):
        found = getattr(found, part)
    return found
