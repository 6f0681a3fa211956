"""Which networks were run, and one sweep that holds both."""

from __future__ import annotations

from mcalc.report.networks import is_the_papers, of_one_network, which_were_run


def test_a_sweep_of_both_networks_gives_each_its_own_trials(trial) -> None:
    al = trial("AL1", params={"backbone.name": "alexnet_bvlc"})
    gl = trial("GL1", params={"backbone.name": "googlenet_bvlc"})
    other = trial("mine", params={"backbone.name": "squeezenet"})
    both = {"alexnet": "paper_matlab", "googlenet": "paper_matlab"}
    assert of_one_network("alexnet", [al, gl, other], both) == [al]
    assert of_one_network("googlenet", [al, gl, other], both) == [gl]


def test_a_sweep_that_one_network_names_alone_is_shown_whole(trial) -> None:
    al, gl = trial("AL1"), trial("GL1")
    apart = {"alexnet": "mine", "googlenet": "googlenet"}
    assert of_one_network("alexnet", [al, gl], apart) == [al, gl]


def test_both_implementations_are_the_papers_network() -> None:
    for network in ("alexnet", "googlenet"):
        assert is_the_papers(network, network)
        assert is_the_papers(network, f"{network}_bvlc")
    assert not is_the_papers("alexnet", "googlenet_bvlc")
    assert not is_the_papers("alexnet", None)


def test_each_implementation_is_named_once(trial) -> None:
    trials = [
        trial("AL1", params={"backbone.name": "alexnet_bvlc"}),
        trial("AL2", params={"backbone.name": "alexnet_bvlc"}),
        trial("AL3"),
        trial("AL4", params={"backbone.name": "squeezenet"}),
    ]
    matlabs, torchvisions = which_were_run("alexnet", trials)
    assert matlabs == "AlexNet run: alexnet_bvlc, which is Caffe's and MATLAB's."
    assert "torchvision's and not MATLAB's" in torchvisions
