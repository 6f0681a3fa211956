"""What planning costs: imported alone, so that its memory is what is measured."""

from __future__ import annotations

import resource
import time

from mcalc.config.compose import compose_config
from mcalc.sweep.planning import make_plans
from mcalc.training import resolved


def axis(count: int) -> str:
    """That many different learning rates, as a comma list."""
    return "trainer.lr=" + ",".join(f"{1e-6 * (1 + i):.6g}" for i in range(count))


def planning(count: int) -> dict[str, float]:
    """Seconds and the process's peak memory for that many trials, hundreds of them."""
    arguments = [axis(count // 100), "seed=range(100)"]
    began = time.perf_counter()
    (plan,) = make_plans(arguments, compose_config, resolved, lambda _: "data")
    seconds = time.perf_counter() - began
    if len(plan.trials) != count:
        raise RuntimeError(f"{len(plan.trials)} trials were planned, not {count}")
    # kilobytes on Linux
    return {"seconds": seconds, "MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}
