"""A trial's part of a page: all that the record has of it, in words beside every picture."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree.ElementTree import Element

import numpy as np
import pytest
from html_tree import tree, words
from markupsafe import Markup

from mcalc.report.footer import page_facts, settings_of, trial_facts
from mcalc.report.pictures import InlinePictures
from mcalc.report.trial_page import paper_trial, same_run, trial_section, trial_style

VERSIONS = json.dumps({"python": "3.11.7", "mcalc": "0.1.0", "torch": "2.15.0"})
TAGS = {
    "mcalc.versions": VERSIONS,
    "mcalc.git": "abc<script>",
    "mcalc.split": "split1",
    "mcalc.precision": "fp32",
    "mcalc.threads": "2",
    "mcalc.trajectory": "run1",
}


def parsed(section: Markup) -> Element:
    return tree(str(section))


def test_a_part_says_where_the_number_comes_from(trial) -> None:  # type: ignore[no-untyped-def]
    one = trial("AL1", run_id="0123456789abcdef", tags=TAGS, params={"seed": 7})
    part = parsed(trial_section(one, "AL1", InlinePictures()))
    assert (part.tag, part.get("id"), part.get("class")) == ("section", "trial-01234567", "trial")
    text = words(part)
    for said in (
        "0123456789abcdef", "2.15.0", "abc<script>", "abc123", "split1", "fp32",
        "Seed 7", "Threads 2", "head.weight_lr", "from_run=01234567",
        "artifacts/0123456789abcdef/artifacts/predictions.csv", "heat_maps=true",
    ):  # fmt: skip
        assert said in text, said
    assert not list(part.iter("script"))


def test_the_papers_own_matrix_stands_beside_ours(trial) -> None:  # type: ignore[no-untyped-def]
    part = parsed(trial_section(trial("AL1"), "AL1", InlinePictures()))
    shows = [image.get("alt", "") for image in part.iter("img")]
    # Table 5: 440 true negatives, 32 false negatives, 365 true positives, 64 false positives
    assert any("440 true negatives, 32 false negatives" in text for text in shows)
    assert any("30 true negatives, 4 false negatives" in text for text in shows)
    assert "the paper's accuracy 0.8935" in words(part)
    mine = parsed(trial_section(trial("mine"), "mine", InlinePictures()))
    assert "paper" not in " ".join(image.get("alt", "") for image in mine.iter("img"))
    assert paper_trial(trial("GL3")).confusion.tn == 492  # type: ignore[union-attr]
    assert paper_trial(trial("mine")) is None


def test_every_stop_of_a_shared_training_run_is_said(trial) -> None:  # type: ignore[no-untyped-def]
    long = trial("AL7", tags=TAGS, metrics={"iterations": 350.0})
    short = trial("AL6", tags=TAGS, metrics={"iterations": 150.0})
    other = trial("AL1", tags={**TAGS, "mcalc.trajectory": "run2"})
    assert same_run(long, [long, short, other]) == [short]
    text = words(parsed(trial_section(long, "AL7", InlinePictures(), among=[long, short, other])))
    assert "2 trials are taken: AL6 at iteration 150 by patience 5; AL7 at iteration 350" in text
    alone = words(parsed(trial_section(other, "AL1", InlinePictures())))
    assert "Stopped at iteration 350 by patience 15." in alone
    limited = trial("AL1", tags={"mcalc.stop_reason": "max_epochs"})
    text = words(parsed(trial_section(limited, "AL1", InlinePictures())))
    assert "at its limit of length, patience 15 not used up" in text


def test_every_picture_has_words_and_its_own_part(trial) -> None:  # type: ignore[no-untyped-def]
    part = parsed(trial_section(trial("AL1"), "AL1", InlinePictures()))
    pictures = list(part.iter("figure"))
    assert len(pictures) == 5  # curve, crops, both matrices, ROC
    for figure in pictures:
        assert figure.findtext("figcaption")
        image = figure.find("img")
        assert image is None or image.get("alt")
    # no crop was kept, which stands in the picture's place
    assert "no crop was kept with this trial" in words(part)


def test_one_class_has_no_roc_and_no_error(trial) -> None:  # type: ignore[no-untyped-def]
    one = trial("AL1", tn=20, fn=0, tp=0, fp=5)
    assert np.unique(one.predictions.labels).tolist() == [0]
    part = parsed(trial_section(one, "AL1", InlinePictures()))
    assert not any("ROC" in (image.get("alt") or "") for image in part.iter("img"))


def test_heat_maps_are_asked_for_with_the_label(trial) -> None:  # type: ignore[no-untyped-def]
    def heat(one, label, store) -> Markup:  # type: ignore[no-untyped-def]
        return Markup("<p>heat of {}</p>").format(label)

    part = trial_section(trial("AL1"), "AL1 & co", InlinePictures(), heat=heat)
    assert "heat of AL1 & co" in words(parsed(part))
    assert "heat_maps=true" not in words(parsed(part))


def test_the_style_lays_the_part_out_and_closes_no_element() -> None:
    style = trial_style()
    assert ".trial-pictures" in style
    assert "<" not in style


def test_footer_names_what_differs_between_trials(trial) -> None:  # type: ignore[no-untyped-def]
    trials = [
        replace(trial(f"AL{i}", tags=TAGS, params={"seed": i}), ended=f"2026-11-2{i} 10:00 UTC")
        for i in (1, 2, 3)
    ]
    facts = dict(page_facts(trials))
    assert facts["Version of torch"] == "2.15.0"
    assert facts["Fingerprint of the split"] == "split1"
    assert facts["Seed"] == "1 (AL1); 2 (AL2); 3 (AL3)"
    assert dict(trial_facts(trials[1]))["Recorded"] == "2026-11-22 10:00 UTC"
    many = [trial("AL1", params={"seed": i}, run_id=f"r{i}") for i in range(20)]
    assert dict(page_facts(many))["Seed"] == "20 values, from 0 to 19"
    older = dict(trial_facts(trial("AL1", tags={"mcalc.versions": "no json"})))
    assert older["Version of torch"] == older["Recorded"] == "not recorded"
    assert page_facts([]) == []


def test_some_values_are_listed_by_their_size_and_words_last(trial) -> None:  # type: ignore[no-untyped-def]
    trials = [trial("AL1", params={"seed": seed}, run_id=f"r{seed}") for seed in (10, 9, 30, 2)]
    apart = {"seed": 1, "protocol.seed": 7}
    trials += [trial("AL1", params=apart, run_id="apart"), trial("AL2", params={"seed": 4})]
    assert dict(page_facts(trials))["Seed"] == "2, 4, 9, 10, 30, 1; of the split 7"


def test_settings_of_another_version_stand_with_those_that_change_no_number(trial) -> None:  # type: ignore[no-untyped-def]
    one = trial("AL1", params={"a.former_setting": 3, "tracking.dir": "mlruns"})
    shown = [key for key, _ in settings_of(one)]
    assert {*shown} == {*one.params}
    last_of_numbers = max(map(shown.index, ("seed", "trainer.lr", "head.weight_lr")))
    assert last_of_numbers < min(map(shown.index, ("a.former_setting", "tracking.dir")))
    text = words(parsed(trial_section(one, "AL1", InlinePictures())))
    assert "a.former_setting 3" in text


@pytest.mark.parametrize("label", ["<img src=x onerror=alert(1)>", '" onmouseover="x'])
def test_a_hostile_name_is_text(trial, label: str) -> None:  # type: ignore[no-untyped-def]
    part = parsed(trial_section(trial("AL1"), label, InlinePictures()))
    assert not [e for e in part.iter() if any(a.startswith("on") for a in e.attrib)]
    assert part.findtext("h3") == label
