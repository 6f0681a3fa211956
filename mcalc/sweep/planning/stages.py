"""Whether the networks of a plan have the stages that it freezes."""

from __future__ import annotations

from mcalc.importing import large_imports
from mcalc.sweep.planning.plan import Plan


def check_stages(plan: Plan) -> None:
    """Raise UserError for a trial that is to freeze more stages than its network has."""
    frozen = {
        (each.name, each.freeze): each
        for each in (trial.config.backbone for trial in plan.trials)
        if each.freeze not in ("0", "all")
    }
    if not frozen:
        return
    # late: PyTorch
    with large_imports():
        from mcalc.models import find_backbone
        from mcalc.models.stages import Stages

    for backbone in frozen.values():
        Stages(find_backbone(backbone.name).stages, backbone)
