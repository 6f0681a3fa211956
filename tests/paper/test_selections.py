"""Ways to count CBIS-DDSM: on rows made by hand, and on the real case CSVs by pandas."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mcalc.data.records import Pathology, Side, Split, View
from mcalc.data.sources.cbis_ddsm import Case, Kind, read_all_cases
from mcalc.paper.selections import calcification_rows, selections, whole_mammograms


def case(kind: str, patient: int, verdict: str, side: str = "LEFT", view: str = "CC") -> Case:
    prefix = f"{kind}-{patient}-{side}-{view}"
    return Case(
        Kind(kind), Split.TRAIN, f"P_{patient}", Side(side), View(view), Pathology(verdict), prefix
    )


ROWS = [
    case("calcification", 1, "MALIGNANT"),
    case("calcification", 1, "BENIGN"),
    case("calcification", 1, "BENIGN", view="MLO"),
    case("calcification", 2, "BENIGN_WITHOUT_CALLBACK"),
    case("mass", 2, "MALIGNANT"),
    case("mass", 3, "MALIGNANT", side="RIGHT"),
]


def test_counts_by_hand() -> None:
    found = {each.name: (each.benign, each.malignant) for each in selections(ROWS)}
    assert found == {
        "calc, rows": (3, 1),
        "calc, mammograms, any malignant": (2, 1),
        "calc, mammograms, one label": (2, 0),
        "calc, breasts, any malignant": (1, 1),
        "calc, breasts, one label": (1, 0),
        "calc, patients, any malignant": (1, 1),
        "calc, patients, one label": (1, 0),
        "both, rows": (3, 3),
        # the film of patient 2 has two names
        "both, film names, any malignant": (2, 3),
        "both, film names, one label": (2, 2),
        "both, mammograms, any malignant": (1, 3),
        "both, mammograms, one label": (1, 1),
        "both, breasts, any malignant": (0, 3),
        "both, breasts, one label": (0, 1),
        "both, patients, any malignant": (0, 3),
        "both, patients, one label": (0, 1),
    }
    assert calcification_rows(ROWS) == selections(ROWS)[0]
    assert whole_mammograms(ROWS).name == "both, mammograms, one label"


@pytest.mark.shared
def test_counts_of_the_real_csvs(shared_data: Path) -> None:
    folder = shared_data / "cbis-ddsm" / "csv"
    frames = []
    for kind in ("calc", "mass"):
        for split in ("train", "test"):
            frame = pd.read_csv(folder / f"{kind}_case_description_{split}_set.csv")
            frames.append(frame.assign(kind=kind))
    both = pd.concat(frames, ignore_index=True)
    both["malignant"] = both["pathology"] == "MALIGNANT"
    both["film"] = both["image file path"].str.split("/").str[0]
    keys = {
        "film names": ["film"],
        "mammograms": ["patient_id", "left or right breast", "image view"],
        "breasts": ["patient_id", "left or right breast"],
        "patients": ["patient_id"],
    }
    cases = read_all_cases([folder])
    assert len(cases) == len(both) == 3568
    for found in selections(cases):
        table = both[both["kind"] == "calc"] if found.data == "calc" else both
        if found.unit == "rows":
            expected = table["malignant"]
        else:
            groups = table.groupby(keys[found.unit])["malignant"]
            expected = groups.max()
            if found.rule == "one label":
                expected = expected[groups.nunique() == 1]
        assert (found.total, found.malignant) == (len(expected), expected.sum()), found.name
    whole = whole_mammograms(cases)
    assert (whole.benign, whole.malignant, whole.left) == (1685, 1314, (506, 395))
    rows = calcification_rows(cases)
    assert round(rows.share, 4) == 0.3595
    assert f"{rows.p:.0e}" == "5e-07"
