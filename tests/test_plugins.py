"""Installed packages that are not as they should be are named: no entry is taken by chance."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcalc.errors import UserError
from mcalc.evaluation.scores import METRICS, find_metric
from mcalc.plugins import installed, versions

Install = Callable[[str, str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package: its name, its version and its metrics, as `name = module:object`."""

    def installs(package: str, version: str, metrics: str) -> None:
        place = tmp_path / f"{package}-{version}"
        info = place / f"{package}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text(f"[mcalc.metrics]\n{metrics}\n")
        (place / f"{package}.py").write_text(
            "from mcalc.evaluation.scores import Metric\n"
            f"MEAN = Metric('{package}', 'mean', lambda labels, p: float(p.mean()))\n"
            "WORD = 'no metric'\n"
        )
        monkeypatch.syspath_prepend(str(place))
        installed.cache_clear()

    yield installs
    monkeypatch.undo()
    installed.cache_clear()


def test_a_packages_entry_is_found_with_its_version(install: Install) -> None:
    install("onepackage", "1.2", "mean_one = onepackage:MEAN")
    install("otherpackage", "3.0", "mean_other = otherpackage:MEAN")
    assert (find_metric("mean_one").name, find_metric("mean_other").name) == (
        "onepackage",
        "otherpackage",
    )
    both = ("mean_one", METRICS[0].name, "mean_other")
    assert versions("metrics", both) == {"onepackage": "1.2", "otherpackage": "3.0"}
    assert versions("metrics", both[1:]) == {"otherpackage": "3.0"}


def test_two_packages_that_give_one_name_are_both_named(install: Install) -> None:
    install("onepackage", "1.2", "mean = onepackage:MEAN")
    install("otherpackage", "3.0", "mean = otherpackage:MEAN")
    with pytest.raises(UserError) as refused:
        find_metric("mean")
    said = str(refused.value)
    assert "onepackage" in said
    assert "otherpackage" in said
    assert said.endswith("both give the metric 'mean': remove one of them")


def test_a_built_in_name_cannot_be_replaced(install: Install) -> None:
    name = METRICS[0].name
    own = find_metric(name)
    install("onepackage", "1.2", f"{name} = onepackage:MEAN")
    said = f"metrics={name} is built in, but the installed package onepackage gives it too: rename"
    with pytest.raises(UserError, match=re.escape(said)):
        find_metric(name)
    assert own.name == name


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("WORD", "metrics=mean: the package onepackage gives a str, expected a mcalc.evaluation."),
        ("NOTHING", "'mean' of the installed package onepackage 1.2 cannot be loaded (Attribute"),
    ],
)
def test_an_entry_that_is_no_metric_names_its_package(
    entry: str, said: str, install: Install
) -> None:
    install("onepackage", "1.2", f"mean = onepackage:{entry}")
    with pytest.raises(UserError, match=re.escape(said)):
        find_metric("mean")
