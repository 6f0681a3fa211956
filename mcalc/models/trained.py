"""A network that was trained before, from the file that its trial kept (`network.pth`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from mcalc.config import BackboneConfig
from mcalc.errors import UserError
from mcalc.models.backbones import Built, build_classifier, find_backbone
from mcalc.models.bounded_zip import DamagedFileError
from mcalc.models.stages import Stages
from mcalc.models.torch_file import open_torch_file
from mcalc.models.undrawn import blank, put_head

ORIGIN = "trained"


def load_trained(path: Path, backbone: BackboneConfig, classes: int, seed: int) -> Built:
    """The network of a file of tensors, under the names of the whole network.

    A trial with `backbone.freeze=all` keeps what is not frozen alone, as did those with fewer
    frozen stages without augmentation. What lies below is then read from where its trial took it
    (`backbone.weights`).

    Args:
        path: the file; nothing in it is executed.
        backbone: as the trial had it.
        classes: outputs of its head.
        seed: as the trial had it: random weights below a frozen head were drawn by it.

    Raises UserError for a file that is damaged or of another network, and as `build_classifier`
    for weights below a frozen head.
    """
    state = read_tensors(path)
    stages = Stages(find_backbone(backbone.name).stages, backbone)
    if _is_whole(state, stages):
        return filled(state, backbone.name, classes, str(path))
    built = build_classifier(backbone, seed, classes)
    above = {name for name in built.model.state_dict() if not stages.keeps_parameter(name)}
    _check(str(path), state, built.model, above, backbone.name)
    built.model.load_state_dict(state, strict=False)
    built.model.eval()
    return built


def is_whole(path: Path, backbone: BackboneConfig) -> bool:
    """Whether the file has what is frozen too. Raises UserError for a damaged one."""
    return _is_whole(read_tensors(path), Stages(find_backbone(backbone.name).stages, backbone))


def _is_whole(state: Mapping[str, Tensor], stages: Stages) -> bool:
    return not stages.frozen or any(stages.keeps_parameter(name) for name in state)


def filled(state: Mapping[str, Tensor], backbone: str, classes: int, where: str) -> Built:
    """A network with these tensors, all of it, in evaluation mode.

    Args:
        state: by the names of the network's own parts.
        backbone: name of the entry.
        classes: outputs of its head.
        where: what the tensors were read from, for messages.

    Raises UserError for tensors of another network, and for numbers that are none.
    """
    entry = find_backbone(backbone)
    model = blank(entry)
    head = put_head(model, entry, classes)
    _check(where, state, model, set(model.state_dict()), backbone)
    model.load_state_dict(state)
    model.eval()
    return Built(model, head, entry.contract, entry.stages, ORIGIN)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name; nothing in it is executed. Raises UserError."""
    try:
        with open_torch_file(path) as file:
            content = file.whole()
    except DamagedFileError as error:
        raise UserError(f"{path} cannot be read: {error}; put a copy of the file back") from error
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise UserError(f"{path} is not the network of a trial: expected tensors by name")
    return {str(name): value for name, value in content.items()}


def _check(
    where: str, state: Mapping[str, Tensor], model: nn.Module, expected: set[str], name: str
) -> None:
    """Raise UserError for a state of other names or shapes, or with numbers that are none."""
    wanted = {key: value for key, value in model.state_dict().items() if key in expected}
    other = sorted(state.keys() ^ wanted.keys())
    other += [key for key in state.keys() & wanted.keys() if state[key].shape != wanted[key].shape]
    if other:
        raise UserError(
            f"{where} is not a network of backbone={name}: {len(other)} arrays differ in name or "
            f"shape, as {other[0]}"
        )
    broken = [key for key, value in state.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise UserError(f"{where} is damaged: {broken[0]} has values that are no numbers")
