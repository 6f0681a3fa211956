"""Assumptions beside what recorded trials used."""

from __future__ import annotations

from mcalc.config import Config
from mcalc.config.paths import flatten
from mcalc.paper import ASSUMPTIONS
from mcalc.report.used import Assumed, UsedValue, assumed

DEFAULTS = {key: value for each in ASSUMPTIONS for key, value in each.taken.items()}


def by_topic(trials) -> dict[str, Assumed]:
    return {row.assumption.topic: row for row in assumed(trials)}


def test_a_trial_at_the_defaults_departs_nowhere(trial) -> None:
    """Values as training records them: the text of each of the config."""
    params = {key: str(value) for key, value in flatten(Config()).items()}
    rows = assumed([trial("AL1", params=params), trial("AL2", params=params)])
    assert [row.assumption for row in rows] == list(ASSUMPTIONS)
    assert not [row for row in rows if row.departs]
    for row in rows:
        assert tuple(value.setting for value in row.used) == row.taken
        assert {value.trials for value in row.used} <= {""}
    settings = [text for row in rows for text in row.taken]
    assert {"trainer.max_iterations=null", "data.clahe.enabled=true"} <= set(settings)


def test_another_value_departs_and_says_whose_it_is(trial) -> None:
    params = {key: str(value) for key, value in DEFAULTS.items()}
    other = {**params, "trainer.lr": "0.01", "trainer.max_iterations": "60"}
    trials = [
        trial("AL1", params=params), trial("AL2", params=other), trial("AL3", params=other),
        trial("AL4", params=other), trial("GL1", params=params),
    ]  # fmt: skip
    rows = by_topic(trials)
    assert rows["Base learning rate"].used == (
        UsedValue("trainer.lr=0.0001", "AL1, GL1", False),
        UsedValue("trainer.lr=0.01", "AL2–AL4", True),
    )
    assert rows["Length of training"].used == (
        UsedValue("trainer.max_epochs=30", "", False),
        UsedValue("trainer.max_iterations=null", "AL1, GL1", False),
        UsedValue("trainer.max_iterations=60", "AL2–AL4", True),
    )
    assert {topic for topic, row in rows.items() if row.departs} == {
        "Base learning rate", "Length of training",
    }  # fmt: skip


def test_the_way_a_number_is_written_is_no_departure(trial) -> None:
    params = {key: str(value) for key, value in DEFAULTS.items()}
    written = {"trainer.lr": "1e-4", "trainer.batch_size": "10.0", "augment.rotation": "180"}
    rows = by_topic([trial("AL1", params={**params, **written})])
    assert not [row for row in rows.values() if row.departs]
    assert rows["Base learning rate"].used[0].setting == "trainer.lr=0.0001"


def test_switches_null_and_words(trial) -> None:
    params = {key: str(value) for key, value in DEFAULTS.items()}
    changed = {
        "augment.enabled": "False", "protocol.validation": "0.15", "stopping.network": "best",
        "trainer.max_epochs": "None",
    }  # fmt: skip
    used = {
        value.setting
        for row in assumed([trial("AL1", params={**params, **changed})])
        for value in row.used
        if value.departs
    }
    assert used == {
        "augment.enabled=false", "protocol.validation=0.15", "stopping.network=best",
        "trainer.max_epochs=null",
    }  # fmt: skip


def test_what_an_older_record_lacks_is_said_and_no_departure(trial) -> None:
    rows = by_topic([trial("AL1")])
    assert rows["Which network is reported"].used == (
        UsedValue("stopping.network: not recorded", "", False),
    )
    assert by_topic([])["Base learning rate"].used == ()
