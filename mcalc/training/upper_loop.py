"""Training of a head on features: as Lightning does it, without what costs more than the head.

Mini-batches, loss, optimizer and everything between iterations are the same. An iteration of
Lightning takes a millisecond beside the arithmetic, one of autograd and torch.optim half of one.
Where the head is one linear layer, as in most networks, its gradient is written down here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from mcalc.data.loading import CropData, Features
from mcalc.models import Classifier
from mcalc.training.device import sent
from mcalc.training.validation import ValidationSchedule

_Step = Callable[[Tensor, Tensor], None]


class UpperLoop:
    """Iterates over the mini-batches of features (`mcalc.training.validation.Loop`)."""

    def __init__(self, module: Classifier, data: CropData, device: torch.device) -> None:
        self.module = module.to(device)
        self.optimizer = module.configure_optimizers()
        self.iterations = 0
        self._data = data
        self._device = device
        self._stopped = False

    def arithmetic(self) -> AbstractContextManager[None]:
        """Around a forward pass: fp32, as the head of every network is computed."""
        return nullcontext()

    def stop(self) -> None:
        """End after the iteration under way."""
        self._stopped = True

    def run(self, schedule: ValidationSchedule) -> None:
        """Iterate to the end of the run, or until the schedule stops it."""
        data = self._data
        assert isinstance(data.train, Features)
        schedule.begin(self)
        linear = linear_head(self.module)
        step: _Step = self._step if linear is None else LinearStep(self, linear)
        left = data.length.iterations - data.start
        for _, draws in zip(range(left), data.mini_batches(), strict=False):
            features, labels = data.train.__getitems__(draws)
            step(sent(features, self._device), sent(labels, self._device))
            self.iterations += 1
            schedule.iterated(self)
            if self._stopped:
                break
        schedule.end(self)

    def _step(self, features: Tensor, labels: Tensor) -> None:
        self.optimizer.zero_grad()
        loss = self.module.training_step((features, labels), self.iterations)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()


def linear_head(module: Classifier) -> nn.Linear | None:
    """The layer of a network that is one linear layer; None for any other."""
    if not isinstance(module.model, fx.GraphModule):
        return None
    steps = [node for node in module.model.graph.nodes if node.op not in ("placeholder", "output")]
    head = module.head_module[0]
    if len(steps) != 1 or steps[0].op != "call_module" or type(head) is not nn.Linear:
        return None
    if head.bias is None:
        return None
    return head if module.model.get_submodule(str(steps[0].target)) is head else None


class LinearStep:
    """Forward, gradient and step of a linear layer under cross-entropy.

    Of the mean of -log p(label) over a batch of B, with logits z = W x + b and p = softmax(z), the
    gradient in z is (p - onehot) / B. The step is that of `mcalc.models.optim`; velocities are the
    optimizer's own, so that a checkpoint has them.
    """

    def __init__(self, loop: UpperLoop, head: nn.Linear) -> None:
        self._module = loop.module
        self._weight = head.weight.detach()
        self._bias = head.bias.detach()
        self._moved = []
        for group in loop.optimizer.param_groups:
            for parameter in group["params"]:
                state = loop.optimizer.state[parameter]
                if state.get("momentum_buffer") is None:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                how = group["lr"], group["weight_decay"], group["momentum"]
                moved = parameter is head.weight, parameter.detach(), state["momentum_buffer"]
                self._moved.append((*moved, *how))

    def __call__(self, features: Tensor, labels: Tensor) -> None:
        """One iteration on features (B, n) and labels (B,)."""
        logits = torch.addmm(self._bias, features, self._weight.t())  # (B, classes)
        logs = F.log_softmax(logits, 1)
        self._module.count(F.nll_loss(logs, labels), logits, labels)
        gradient = logs.exp_()
        gradient.scatter_add_(1, labels[:, None], gradient.new_full((len(labels), 1), -1.0))
        gradient.div_(len(labels))
        for is_weight, parameter, velocity, rate, decay, momentum in self._moved:
            found = gradient.t() @ features if is_weight else gradient.sum(0)
            velocity.mul_(momentum).add_(found.add_(parameter, alpha=decay))
            parameter.add_(velocity, alpha=-rate)
