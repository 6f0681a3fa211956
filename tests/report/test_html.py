from __future__ import annotations

import base64
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from mcalc.report.baselines import baselines_table
from mcalc.report.first_screen import verdict
from mcalc.report.html import page
from mcalc.report.paper_tables import TABLES, Record, build
from mcalc.report.pictures import InlinePictures
from mcalc.report.rows import trials_of
from mcalc.report.trial_page import trial_section
from mcalc.report.trial_pictures import shown_crops
from mcalc.report.writing import MOST_INLINE

VOID = {"meta", "col", "img", "br", "link", "hr", "input"}


class Outline(HTMLParser):
    """Checks that elements nest, and keeps what the tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def report(record: Record, **others: Callable[[str], None]) -> str:
    tables = {number: build(number, record) for number in TABLES}
    further = {"baselines": baselines_table(trials_of(record))}
    return page(tables, further, record, verdict(trials_of(record)), **others)


@pytest.fixture
def crops(tmp_path: Path) -> dict[str, str]:
    """Two kept crops, of one benign and one malignant lesion of the trial maker."""
    rng = np.random.default_rng(0)
    kept = {}
    for lesion in ("P_00000", "P_00040"):
        path = tmp_path / f"{lesion}.png"
        cv2.imwrite(str(path), rng.integers(0, 256, (64, 48), dtype=np.uint8))
        kept[lesion] = str(path)
    return kept


def test_page_nests_and_needs_no_other_file(trial, crops) -> None:
    text = report({"alexnet": [trial("AL1", crops=crops)]})
    outline = Outline(text)
    assert text.startswith("<!DOCTYPE html>")
    assert outline.all("html") == [{"lang": "en"}]
    # its own script stands in it
    assert outline.all("script") == [{}]
    assert outline.all("link") == []
    assert "http" not in text
    assert "url(" not in text
    for image in outline.all("img"):
        kind, data = image["src"].split(",", 1)
        assert kind in ("data:image/png;base64", "data:image/jpeg;base64")
        assert cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), 1) is not None


def test_links_lead_somewhere_and_ids_are_unique(trial) -> None:
    outline = Outline(report({"alexnet": [trial("AL1")]}))
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [link["href"].removeprefix("#") for link in outline.all("a")]
    assert {f"table{number}" for number in range(1, 7)} <= set(targets)
    named = [a["aria-labelledby"] for _, a in outline.elements if "aria-labelledby" in a]
    assert set(targets + named) <= set(ids)


def test_all_six_tables_with_every_row(trial) -> None:
    outline = Outline(report({"alexnet": [trial("AL1")]}))
    headings = [name for name in outline.words if re.match(r"Table \d\. ", name)]
    assert [heading[:8] for heading in headings] == [f"Table {n}." for n in (1, 2, 5, 6, 3, 4)]
    rows = [a for a in outline.all("th") if a.get("scope") == "row"]
    assert len(rows) >= 10 + 10 + 40 + 20 + 10 + 10  # and the assumptions
    assert "GL10" in outline.text


def test_what_separates_the_networks_is_listed_with_those_that_were_run(trial) -> None:
    text = Outline(report({"googlenet": [trial("GL1")]})).text
    assert "GoogLeNet run: googlenet, which is torchvision's and not MATLAB's" in text
    assert "AlexNet run" not in text
    for topic in (
        "widths and groups", "Local response normalisation", "Batch normalisation", "Dropout",
        "Scale of the input", "Interpolation", "Grey to three channels", "Bit depth",
    ):  # fmt: skip
        assert topic in text
    matlabs = {"alexnet": [trial("AL1", params={"backbone.name": "alexnet_bvlc"})]}
    assert "alexnet_bvlc, which is Caffe's and MATLAB's" in Outline(report(matlabs)).text


def test_a_run_trial_has_its_pictures_in_words_too(trial, crops) -> None:
    outline = Outline(report({"alexnet": [trial("AL1", crops=crops)]}))
    alternatives = [image["alt"] for image in outline.all("img")]
    intervals = [text.split(",")[0] for text in alternatives[:2]]
    assert intervals == [
        "Interval plot of AUC on the lesions reported",
        "Interval plot of accuracy on the lesions reported",
    ]
    assert alternatives[2] == "ROC and precision-recall curves of 1 trial of AlexNet."
    for words in (
        "Training of AL1 over 350 iterations; at the last evaluation validation accuracy 0.600 "
        "and loss 0.114.",
        "2 crops classified by AL1, 2 of them rightly.",
        "Confusion matrix of AL1: 30 true negatives, 4 false negatives, 12 true positives, "
        "10 false positives.",
    ):
        assert words in alternatives[3:]


def test_a_trial_not_run_says_so_in_the_gallery() -> None:
    outline = Outline(report({}))
    assert outline.all("img") == []
    for network in ("AL", "GL"):
        names = ", ".join(f"{network}{number}" for number in range(1, 11))
        assert f"Not run: {names}." in outline.text
    assert "No trial has been run." in outline.text


def test_rows_lead_to_their_trials_and_the_footer_says_what_made_them(trial) -> None:
    outline = Outline(report({"alexnet": [trial("AL1", run_id="0123456789abcdef")]}))
    assert outline.all("a").count({"href": "#trial-01234567"}) >= 3  # Tables 1, 5 and 6
    assert "trial-01234567" in [each.get("id") for each in outline.all("section")]
    assert len(outline.all("footer")) == 1


def test_cautions_stand_before_the_first_table(trial) -> None:
    text = report({"alexnet": [trial("AL1", params={"data.source": "phantom"})]})
    assert text.index("say nothing about mammograms") < text.index("<table")
    assert "Before you read on" not in report({"alexnet": [trial("AL1")]})


def test_texts_of_the_record_are_escaped(trial) -> None:
    evil = '<script>alert("x")</script>'
    record = {
        "alexnet": [
            trial("AL1", warnings=(evil,), tags={"mcalc.weights": evil}),
            trial(evil, run_id="second"),
        ]
    }
    text = report(record)
    assert "<script>alert" not in text
    assert Outline(text).text.count('alert("x")') >= 4


def test_a_crop_that_cannot_be_read_is_named(trial, crops, tmp_path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    kept = {**crops, "P_00001": str(broken), "P_00002": str(tmp_path / "gone.png")}
    outline = Outline(report({"alexnet": [trial("AL1", crops=kept)]}))
    assert "2 kept crops could not be read" in outline.text
    assert "AL1 P_00001, AL1 P_00002" in outline.text
    assert "2 crops classified by AL1" in [image["alt"][:25] for image in outline.all("img")]


def test_no_kept_crop_is_said(trial) -> None:
    assert "no crop was kept" in Outline(report({"alexnet": [trial("AL1")]})).text


def test_shown_crops_are_spread_over_the_split_and_not_chosen_by_result(trial) -> None:
    one = trial("AL1", tn=50, fn=10, tp=20, fp=20)
    kept = {name: "x.png" for name in one.predictions.ids if not name.endswith("7")}
    shown = shown_crops(trial("AL1", tn=50, fn=10, tp=20, fp=20, crops=kept), limit=9)
    assert shown == shown_crops(trial("AL2", tn=60, fn=0, tp=40, fp=0, crops=kept), limit=9)
    assert all(one.predictions.ids[index] in kept for index in shown)
    assert shown == [0, 11, 22, 33, 44, 55, 66, 78, 89]  # every tenth of the ninety kept


def test_assumptions_show_what_was_used_and_mark_departures(trial) -> None:
    record = {
        "alexnet": [trial("AL1", params={"trainer.lr": 0.01}), trial("AL2")],
        "googlenet": [trial("GL1")],
    }
    text = report(record).split('<section id="assumptions">')[1].split("</section>")[0]
    row = next(part for part in text.split("<tr") if "Base learning rate" in part)
    shown = " ".join(re.sub(r"<[^>]+>", " ", row).split())
    assert "trainer.lr=0.01 (AL1) departs trainer.lr=0.0001 (AL2, GL1)" in shown
    assert row.count("<strong>departs</strong>") == 1
    assert "departs" not in next(part for part in text.split("<tr") if "Batch size" in part)
    assert "R2021b" in text
    nothing = report({}).split('<section id="assumptions">')[1].split("</section>")[0]
    assert "departs" not in nothing
    assert "no trial has been run" in nothing


def test_the_audit_is_a_section_with_what_needs_no_csv(trial) -> None:
    outline = Outline(report({"alexnet": [trial("AL1")]}))
    assert {"href": "#audit"} in outline.all("a")
    assert "AL5, AL6, AL7 and AL10 differ in patience alone" in outline.text
    assert "case CSVs of CBIS-DDSM were not named" in outline.text
    assert "Ways to count" not in outline.text


def test_progress_counts_the_trials(trial) -> None:
    seen: list[tuple[int, int]] = []
    record = {"alexnet": [trial("AL1")], "googlenet": [trial("GL1")]}
    report(record, progress=lambda *step: seen.append(step))
    assert seen == [(1, 2), (2, 2)]


def test_forty_trials_open_with_less_than_ten_megabytes(trial, tmp_path) -> None:
    """With crops that shrink as little as those of grainy films."""
    rng = np.random.default_rng(1)
    kept = {}
    for index in range(12):
        path = tmp_path / f"{index}.png"
        grain = cv2.GaussianBlur(rng.normal(size=(227, 227)), (0, 0), 1.2)
        cv2.imwrite(str(path), np.clip(128 + 130 * grain, 0, 255).astype(np.uint8))
        kept[f"P_{index:05d}"] = str(path)
    section = trial_section(trial("mine", crops=kept), "mine", InlinePictures())
    # the rest is for tables
    assert MOST_INLINE * len(section) < 9_500_000
