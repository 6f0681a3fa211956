"""The pages of recorded sweeps in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import chromium, complaints, open_page, violations
from recorded_sweeps import open_record, write_grid, write_search, write_trial
from selenium.webdriver.common.by import By

from mcalc.report import writing
from mcalc.report.__main__ import main
from mcalc.report.first_screen import verdict
from mcalc.report.pictures import FolderPictures
from mcalc.report.single_page import own_page
from mcalc.report.sweep_page import sweep_page
from mcalc.report.varying import sweep_of

pytestmark = [
    pytest.mark.whole,
    pytest.mark.slow,
    pytest.mark.xdist_group("pages"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
    pytest.mark.filterwarnings("ignore:For backward compatibility, 'str' dtypes"),
]
LARGEST = 10_000_000
"""Bytes of a page to open, with what it loads at once."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of a grid with seeds, a search with failures, and the paper's first rows."""
    folder = tmp_path_factory.mktemp("small")
    tracker = open_record(folder / "mlruns")
    write_grid(tracker, "seeds", ("squeezenet", "resnet18"), seeds=2)
    write_search(tracker, "search", 20, failed=2, pruned=1)
    parent = tracker.open_sweep("alexnet-1", "alexnet", {})
    for number in (1, 2):
        params = {"backbone.name": "alexnet", "head.weight_lr": 10.0 * number}
        write_trial(tracker, f"AL{number}", params, parent, number=number, crops=3)
    assert main([f"tracking.dir={folder / 'mlruns'}", f"out={folder / 'report'}"]) == 0
    return folder / "report"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a sweep of more trials than one file takes, which are six here, not forty."""
    folder = tmp_path_factory.mktemp("large")
    write_search(open_record(folder / "mlruns"), "search", 8, failed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "MOST_INLINE", 6)
        assert main([f"tracking.dir={folder / 'mlruns'}", f"out={folder / 'report'}"]) == 0
    return folder / "report"


def cells(browser: Any, column: int) -> list[str]:
    """What a column of the table of what varies shows."""
    rows = browser.find_elements(By.CSS_SELECTOR, "#explore tbody tr")
    return [row.find_elements(By.XPATH, "./*")[column].text for row in rows if row.is_displayed()]


def press(browser: Any, column: int) -> None:
    browser.find_elements(By.CSS_SELECTOR, "#explore thead button")[column].click()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(
    "name", ["index.html", "sweeps/seeds/index.html", "sweeps/search/index.html"]
)
def test_a_page_has_no_complaint_and_no_violation(small: Path, name: str, dark: bool) -> None:
    with chromium(dark=dark) as browser:
        open_page(browser, small / name)
        paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") is not dark
        assert violations(browser) == []


def test_the_first_page_leads_to_every_sweep(small: Path) -> None:
    with chromium() as browser:
        open_page(browser, small / "index.html")
        assert "Table 1. Fine-tuned AlexNet" in browser.find_element(By.ID, "table1-title").text
        links = [
            each.get_attribute("href")
            for each in browser.find_elements(By.CSS_SELECTOR, "#recorded a")
        ]
        assert len(links) == 2
        for link in links:
            browser.get(link)
            assert "AUC from" in browser.find_element(By.CLASS_NAME, "verdict").text
            assert browser.find_element(By.TAG_NAME, "h1").text.startswith("Sweep se")


def test_rows_are_sorted_and_filtered_without_a_network(small: Path) -> None:
    with chromium() as browser:
        open_page(browser, small / "sweeps" / "search" / "index.html")
        headings = [
            each.text.split()[0]
            for each in browser.find_elements(By.CSS_SELECTOR, "#explore thead th")
        ]
        area = headings.index("AUC")
        before = [float(text) for text in cells(browser, area)]
        assert len(before) == 17
        press(browser, area)
        assert [float(text) for text in cells(browser, area)] == sorted(before, reverse=True)
        press(browser, area)
        assert [float(text) for text in cells(browser, area)] == sorted(before)
        batch = headings.index("trainer.batch_size")
        chosen = browser.find_element(By.CSS_SELECTOR, f'select[data-column="{batch}"]')
        chosen.find_element(By.XPATH, ".//option[text()='64']").click()
        kept = cells(browser, batch)
        assert 0 < len(kept) < 17
        assert set(kept) == {"64"}
        lines = browser.find_elements(By.CSS_SELECTOR, ".parallel polyline")
        assert sum(line.is_displayed() for line in lines) == len(kept)
        assert f"{len(kept)} of 17 rows" in browser.find_element(By.TAG_NAME, "output").text
        assert complaints(browser) == []


def test_a_setting_of_many_values_is_filtered_by_a_range(small: Path) -> None:
    with chromium() as browser:
        open_page(browser, small / "sweeps" / "search" / "index.html")
        low = browser.find_element(By.CSS_SELECTOR, "input[data-end=from]")
        column = int(low.get_attribute("data-column"))
        values = sorted(float(text) for text in cells(browser, column))
        low.send_keys(str(values[5]))
        high = browser.find_element(By.CSS_SELECTOR, f"input[data-end=to][data-column='{column}']")
        high.send_keys(str(values[9]))
        assert sorted(float(text) for text in cells(browser, column)) == values[5:10]
        assert "5 of 17 rows" in browser.find_element(By.TAG_NAME, "output").text
        assert complaints(browser) == []


def test_the_first_click_on_a_rank_has_the_best_on_top(small: Path) -> None:
    with chromium() as browser:
        open_page(browser, small / "sweeps" / "search" / "index.html")
        headings = browser.find_elements(By.CSS_SELECTOR, "#explore thead th")
        titles = [" ".join(each.text.split()) for each in headings]
        (rank,) = [i for i, title in enumerate(titles) if title.startswith("Val. rank")]
        press(browser, rank)
        places = [int(text) for text in cells(browser, rank)]
        assert len(places) > 1
        assert places == sorted(places)
        press(browser, rank)
        assert [int(text) for text in cells(browser, rank)] == places[::-1]


def test_failures_stand_with_their_reason(small: Path) -> None:
    with chromium() as browser:
        open_page(browser, small / "sweeps" / "search" / "index.html")
        shown = browser.find_element(By.ID, "failures").text
        assert "2 failed, 1 pruned" in shown
        assert shown.count("the loss is nan after") == 2


def test_a_row_leads_to_its_trial(small: Path) -> None:
    with chromium() as browser:
        open_page(browser, small / "sweeps" / "seeds" / "index.html")
        link = browser.find_element(By.CSS_SELECTOR, "#explore tbody a")
        target = link.get_attribute("href").split("#")[1]
        assert browser.find_element(By.ID, target).get_attribute("class") == "trial"


def test_on_a_phone_the_name_stays_and_the_accuracy_is_in_sight(small: Path) -> None:
    with chromium(390, 844) as browser:
        open_page(browser, small / "sweeps" / "seeds" / "index.html")
        # the page itself does not scroll sideways
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        row = browser.find_element(By.CSS_SELECTOR, "#explore tbody tr")
        name, accuracy = row.find_elements(By.XPATH, "./*")[:2]
        assert accuracy.rect["x"] + accuracy.rect["width"] <= 390
        # a word of a name is not broken, which has a box for each line that it is on
        boxes = browser.execute_script(
            "const word = document.createTextNode('radiologist’s'), range = new Range();"
            "arguments[0].replaceChildren(word); range.selectNode(word);"
            "return range.getClientRects().length;",
            browser.find_element(By.CSS_SELECTOR, "#explore tbody tr:last-child th"),
        )
        assert boxes == 1
        before = name.rect["x"]
        browser.execute_script("document.querySelector('#trials .scroll').scrollLeft = 150")
        assert browser.execute_script("return document.querySelector('#trials .scroll').scrollLeft")
        assert name.rect["x"] == before
        assert violations(browser) == []


def test_a_printed_page_is_light_and_whole(small: Path) -> None:
    with chromium(dark=True) as browser:
        open_page(browser, small / "index.html")
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        browser.execute_script("dispatchEvent(new Event('beforeprint'))")
        paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert paper == "rgb(255, 255, 255)"
        assert not browser.find_element(By.TAG_NAME, "nav").is_displayed()
        folded = browser.find_elements(By.CSS_SELECTOR, "details:not([open])")
        assert folded == []


def test_with_many_trials_each_has_a_page_whose_pictures_are_loaded_as_they_are_seen(
    large: Path,
) -> None:
    with chromium() as browser:
        open_page(browser, large / "index.html")
        browser.find_element(By.CSS_SELECTOR, "#explore tbody a").click()
        assert complaints(browser) == []
        images = browser.find_elements(By.CSS_SELECTOR, ".trial img")
        assert len(images) >= 3
        for image in images:
            assert image.get_attribute("loading") == "lazy"
            browser.execute_script("arguments[0].scrollIntoView()", image)
            # ends as soon as it is there, and is refused where it cannot be had
            browser.execute_async_script(
                "const done = arguments[1]; arguments[0].decode().then(() => done());", image
            )
            assert browser.execute_script("return arguments[0].naturalWidth", image) > 100
        assert violations(browser) == []


def test_two_hundred_trials_open_at_once(trial: Callable[..., Any], tmp_path: Path) -> None:
    trials = [
        trial(
            f"head.weight_lr={number}, trainer.lr={1 / (number + 1)}",
            fn=1 + number % 5,
            fp=number % 7,
            params={"head.weight_lr": number, "trainer.lr": 1 / (number + 1)},
            run_id=f"{number:08d}",
        )
        for number in range(200)
    ]
    store = FolderPictures(tmp_path, "pictures")
    text = sweep_page(
        "search", sweep_of(trials), verdict(trials), trials, [], {}, store, trial_address=own_page
    )
    (tmp_path / "index.html").write_text(text, encoding="utf-8")
    with chromium() as browser:
        open_page(browser, tmp_path / "index.html")
        loaded = (tmp_path / "index.html").stat().st_size
        for image in browser.find_elements(By.TAG_NAME, "img"):
            assert image.get_attribute("loading") == "lazy"
            loaded += (tmp_path / image.get_dom_attribute("src")).stat().st_size
        assert loaded < LARGEST
        assert len(browser.find_elements(By.CSS_SELECTOR, "#explore tbody tr")) == 200
        assert violations(browser) == []
