"""Whether the networks of a plan have the stages that it freezes."""

from __future__ import annotations

from mcalc.importing import large_imports
from mcalc.sweep.planning.plan import Compose, Plan
from mcalc.sweep.planning.weights import backbones_of


def check_stages(plan: Plan, compose: Compose) -> None:
    """Raise UserError for a trial that is to freeze more stages than its network has.

    Of a search only where all its trials freeze as many: others fail as they are drawn.
    """
    planned = (
        backbones_of(plan, compose)
        if plan.search
        else [trial.config.backbone for trial in plan.trials]
    )
    frozen = {(each.name, each.freeze): each for each in planned if each.freeze not in ("0", "all")}
    if not frozen:
        return
    # late: PyTorch
    with large_imports():
        from mcalc.models import find_backbone
        from mcalc.models.stages import Stages

    for backbone in frozen.values():
        Stages(find_backbone(backbone.name).stages, backbone)
