"""A headless Chromium over MLflow's page: what a user would see, waited for as long as it takes."""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
_LONGEST_SECONDS = 120.0


class Page:
    """One page, driven by Chromium's own protocol over a pair of pipes."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._numbers = itertools.count(1)
        self._rest = b""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = str(attached["sessionId"])

    def open(self, address: str) -> None:
        self._ask("Page.navigate", self._session, url=address)

    def value(self, script: str) -> Any:
        """What an expression of JavaScript gives."""
        asked = self._ask("Runtime.evaluate", self._session, expression=script, returnByValue=True)
        return asked["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """The value of an expression once it is true; the page's text is the error's."""
        end = time.monotonic() + _LONGEST_SECONDS
        while time.monotonic() < end:
            if found := self.value(script):
                return found
            time.sleep(0.3)
        raise AssertionError(f"{script} stays false: {self.value('document.body.innerText')}")

    def picture(self, file: Path) -> None:
        shot = self._ask("Page.captureScreenshot", self._session, format="png")
        file.write_bytes(base64.b64decode(shot["data"]))

    def _ask(self, method: str, session: str | None = None, **given: Any) -> dict[str, Any]:
        number = next(self._numbers)
        asked = {"id": number, "method": method, "params": given}
        if session:
            asked["sessionId"] = session
        os.write(self._to, json.dumps(asked).encode() + b"\0")
        while True:
            answer = self._answer()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _answer(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            read = os.read(self._from, 1 << 16)
            assert read, "the browser ended"
            self._rest += read
        one, self._rest = self._rest.split(b"\0", 1)
        answer: dict[str, Any] = json.loads(one)
        return answer


@contextmanager
def page(width: int = 1500, height: int = 900) -> Iterator[Page]:
    """A page of a browser that ends with the block."""
    assert CHROMIUM
    (from_us, to_browser), (from_browser, to_us) = os.pipe(), os.pipe()
    # the numbers 3 and 4 are to be free for the browser's own ends
    from_us, to_us = (_moved(each) for each in (from_us, to_us))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # the browser reads from 3 and writes to 4
        command = [
            "bash", "-c", f'exec "$@" 3<&{from_us} 4>&{to_us}', "bash", CHROMIUM, *_FLAGS,
            f"--window-size={width},{height}", f"--user-data-dir={profile}",
            "--remote-debugging-pipe",
        ]  # fmt: skip
        browser = subprocess.Popen(command, pass_fds=(from_us, to_us), stderr=subprocess.DEVNULL)
        os.close(from_us)
        os.close(to_us)
        try:
            yield Page(to_browser, from_browser)
        finally:
            os.close(to_browser)
            os.close(from_browser)
            browser.terminate()
            browser.wait()


def _moved(end: int) -> int:
    number = fcntl.fcntl(end, fcntl.F_DUPFD, 20)
    os.close(end)
    return number
