"""Debian's Chromium driven from Python, with axe, for tests of pages.

Selenium drives it by Debian's chromedriver, which is of one version with the browser. What is not
installed skips a test; in continuous integration (`.ci/run` sets `MCALC_CI`) it fails it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

AXE = "axe-core/axe.min.js"
_PLACES = ("node_modules", "/usr/local/lib/node_modules", "/usr/lib/node_modules")


def missing(what: str, how: str) -> None:
    """Skip the test, or fail it where everything should be installed."""
    text = f"{what} is not installed ({how})"
    if os.environ.get("MCALC_CI"):
        pytest.fail(text)
    pytest.skip(text)


def axe_source() -> str:
    """The script of axe-core; skips the test where there is none."""
    named = os.environ.get("MCALC_AXE")
    root = Path(__file__).resolve().parents[1]
    files = [Path(named)] if named else [root / place / AXE for place in _PLACES]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        missing("axe-core", "npm install --no-save axe-core; MCALC_AXE=FILE names another place")
        raise AssertionError
    return found.read_text(encoding="utf-8")


@contextmanager
def chromium(width: int = 1366, height: int = 900, *, dark: bool = False) -> Iterator[Any]:
    """A browser without a window; skips the test where there is none."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        missing("Chromium", "apt-get install chromium chromium-driver")
        raise AssertionError
    options = Options()
    options.binary_location = program
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, Service(driver))
    try:
        # a window may not be as narrow as a phone: its page may
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield browser
    finally:
        browser.quit()


def open_page(browser: Any, file: Path) -> None:
    """Open a file; nothing that it asks for may fail, and its script may complain of nothing."""
    browser.get(file.resolve().as_uri())
    assert complaints(browser) == []


def complaints(browser: Any) -> list[str]:
    """What stands in the console since it was asked last."""
    return [str(entry["message"]) for entry in browser.get_log("browser")]


def violations(browser: Any) -> list[str]:
    """What axe finds wrong, with the first element of each."""
    browser.execute_script(axe_source())
    found = browser.execute_async_script(
        "const done = arguments[0]; axe.run().then((all) => done(all.violations));"
    )
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found]
