"""Which networks were run: torchvision's, or those of the paper's MATLAB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mcalc.paper import FAMILIES, MATLABS, NETWORK_TITLES
from mcalc.results import RecordedTrial


def is_the_papers(network: str, backbone: object) -> bool:
    """Whether a backbone is the network that the paper names, in either implementation."""
    return backbone in FAMILIES[network]


def which_were_run(network: str, trials: Sequence[RecordedTrial]) -> tuple[str, ...]:
    """A sentence for each implementation that a network's trials have; none without trials."""
    run = dict.fromkeys(trial.param("backbone.name") for trial in trials)
    title = NETWORK_TITLES[network]
    said = []
    for backbone in run:
        if backbone in MATLABS:
            said.append(f"{title} run: {backbone}, which is Caffe's and MATLAB's.")
        elif is_the_papers(network, backbone):
            said.append(
                f"{title} run: {backbone}, which is torchvision's and not MATLAB's (the page lists "
                "what separates them; sweep=paper_matlab runs MATLAB's)."
            )
    return tuple(said)


def of_one_network(
    network: str, trials: Sequence[RecordedTrial], sweeps: Mapping[str, str]
) -> list[RecordedTrial]:
    """A network's trials of its sweep. One sweep may hold both: then each has its own backbones."""
    shared = [name for name in sweeps if name != network and sweeps[name] == sweeps[network]]
    if not shared:
        return list(trials)
    return [t for t in trials if is_the_papers(network, t.param("backbone.name"))]
