"""A network's steps as `torch.fx` reads them, with our own layers as one step each."""

from __future__ import annotations

from torch import fx, nn

from mcalc.models.dropout import Dropout
from mcalc.models.local_response_norm import LocalResponseNorm

REFUSALS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What a network's own code raises for the stand-ins that torch.fx gives it in place of tensors."""


class Tracer(fx.Tracer):
    """PyTorch's own, which takes PyTorch's layers as one step."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one step: PyTorch's own, and those with steps that depend on data."""
        ours = isinstance(m, Dropout | LocalResponseNorm)
        return ours or super().is_leaf_module(m, module_qualified_name)
