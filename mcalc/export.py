"""`python -m mcalc.export`: a trained network as ONNX, or as a model of MLflow's registry."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import partial

from mcalc.command_line import run_command
from mcalc.config import Line, Precision, Region
from mcalc.errors import UserError
from mcalc.leaving import run_as_program

ONNX_SUFFIX = ".onnx"


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    return run_command("export", arguments)


def run(line: Line) -> int:
    """Write the file, or register the model; returns the exit status.

    Raises UserError for a mistake in the words, where the record has no such network, and where
    the file cannot be written.
    """
    words = line.words
    if not words["run"]:
        raise UserError("run=NAME names the trained network, as in run=AL3 or run=alexnet/AL3")
    if not words["to"] and not words["registry"]:
        raise UserError(
            "to=FILE.onnx writes the network as ONNX; registry=NAME makes it a model of MLflow's "
            "registry: give one"
        )
    if words["alias"] and not words["registry"]:
        raise UserError("alias= names a version of a registered model: add registry=NAME")
    target = words["to"]
    if target is not None and target.suffix.lower() != ONNX_SUFFIX:
        raise UserError(f"to={target}: expected a name that ends in {ONNX_SUFFIX}")
    config = line.config()
    # late: SQLAlchemy
    from mcalc.tracking.places import refuse_nothing

    refuse_nothing(config.tracking)
    given = {override.partition("=")[0] for override in line.overrides}
    # late: PyTorch and MLflow
    from mcalc.data.splits import MALIGNANT
    from mcalc.evaluation import Choice, decide
    from mcalc.models import export_onnx
    from mcalc.predict.bundle import about
    from mcalc.predict.network import open_network
    from mcalc.predict.selection import chosen_runs

    names = chosen_runs(config.tracking, words["run"], None)
    if len(names) != 1:
        raise UserError(f"run={words['run']}: one network is exported at a time")
    network = open_network(config, given, names[0])
    if words["registry"] and network.config.data.region is Region.patch:
        raise UserError(
            f"{network.trial.name} looks at a window around a lesion (data.region=patch), which "
            "its mask places: a server of images alone cannot answer with it; to=FILE.onnx takes "
            "windows that you cut"
        )
    decision = decide(network.validation, Choice(words["operating_point"]))
    if target is not None:
        said = json.dumps(about(network, decision))
        export_onnx(network.classifier.cpu(), network.size, MALIGNANT, said, target)
        print(f"wrote {target}: {network.trial.name}, images of {network.size} x {network.size}")
        if network.setup.precision != Precision.fp32.value:
            print(
                f"  note: the record computes in {network.setup.precision}, the file in fp32: "
                "probabilities differ slightly from the record's, and calls near its operating "
                "point may"
            )
    if words["registry"]:
        from mcalc.serving.registry import register

        made = register(config.tracking, network, decision, words["registry"], words["alias"] or "")
        print(
            f"registered {network.trial.name} as models:/{made.name}/{made.version}"
            + (f", models:/{made.name}@{words['alias']}" if words["alias"] else "")
        )
    return 0


if __name__ == "__main__":
    run_as_program(partial(main, sys.argv[1:]))
