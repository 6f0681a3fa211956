from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from mcalc import file_digest
from mcalc.file_digest import file_sha256, known_sha256


def test_the_digest_is_that_of_the_whole_content(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def age(path: Path, seconds: float = 60.0) -> int:
    """Let a file's content be that old; returns its time of change."""
    changed = time.time_ns() - int(seconds * 1e9)
    os.utime(path, ns=(changed, changed))
    return changed


def test_a_file_that_stays_as_it_is_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, read = tmp_path / "weights", list[Path]()
    monkeypatch.setattr(file_digest, "SETTLED_SECONDS", 3600.0)

    def reading(path: Path) -> str:
        read.append(path)
        return file_sha256(path)

    monkeypatch.setattr(file_digest, "file_sha256", reading)
    file.write_bytes(b"one")
    # changed a moment ago: it is read each time
    assert known_sha256(file) == known_sha256(file) == hashlib.sha256(b"one").hexdigest()
    assert len(read) == 2
    monkeypatch.setattr(file_digest, "SETTLED_SECONDS", -1.0)
    assert known_sha256(file) == known_sha256(file) == hashlib.sha256(b"one").hexdigest()
    assert len(read) == 3
    (tmp_path / "link").symlink_to(file)
    assert known_sha256(tmp_path / "link") == hashlib.sha256(b"one").hexdigest()
    assert len(read) == 3


def test_a_changed_file_has_another_digest_whatever_its_times_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_digest, "SETTLED_SECONDS", -1.0)
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    before = age(file)
    assert known_sha256(file) == hashlib.sha256(b"one").hexdigest()
    # as long, and with the time of the other, as a copy or an archive gives it; later than the
    # disk's clock can tell
    time.sleep(0.05)
    file.write_bytes(b"two")
    os.utime(file, ns=(before, before))
    assert known_sha256(file) == hashlib.sha256(b"two").hexdigest()
    (tmp_path / "other").write_bytes(b"six")
    (tmp_path / "other").replace(file)
    assert known_sha256(file) == hashlib.sha256(b"six").hexdigest()
    file.unlink()
    with pytest.raises(OSError, match="No such file"):
        known_sha256(file)
