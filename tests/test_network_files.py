"""Network file systems, by lines of /proc/self/mountinfo as Linux writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcalc.network_files import MOUNTS, network_file_system

LINES = r"""
22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw,errors=remount-ro
23 22 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
35 22 0:44 / /home rw,relatime shared:20 - nfs4 10.0.0.1:/export/home rw,vers=4.2,addr=10.0.0.1
36 35 259:4 /scratch /home/me/fast rw,relatime shared:21 master:3 - xfs /dev/nvme1n1 rw
37 22 0:50 / /mnt/a\040share rw,relatime - cifs //server/share rw,vers=3.1.1
38 22 0:51 / /data rw,relatime - lustre 10.1.1.1@o2ib:/scratch rw,flock
39 22 0:52 / /gpfs/projects rw,relatime - gpfs projects rw
40 22 0:53 / /remote rw,nosuid,nodev,relatime - fuse.sshfs me@host:/home rw,user_id=0
41 22 0:54 / /win rw,relatime - 9p drvfs rw
42 22 0:55 / /usb rw,relatime - fuse.ntfs-3g /dev/sdb1 rw
43 22 0:56 / /twice rw,relatime - nfs server:/old rw
44 43 0:57 / /twice rw,relatime - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/mlruns/optuna.db", ""),
        ("/home/me/mlruns/optuna.db", "nfs4"),
        ("/home", "nfs4"),
        ("/homes/me/optuna.db", ""),
        ("/home/me/fast/mlruns/optuna.db", ""),
        ("/mnt/a share/optuna.db", "cifs"),
        ("/data/x", "lustre"),
        ("/gpfs/projects/x", "gpfs"),
        ("/gpfs/x", ""),
        ("/remote/x", "fuse.sshfs"),
        ("/win/x", "9p"),
        ("/usb/x", ""),
        ("/twice/x", ""),
    ],
)
def test_the_longest_mount_point_counts(path: str, kind: str) -> None:
    assert network_file_system(Path(path), LINES) == kind


@pytest.mark.parametrize("text", ["", "no mounts\n", "1 2 3 / / rw\n", "1 2 3 / / rw - \n"])
def test_text_that_says_nothing_is_taken_for_nothing(text: str) -> None:
    assert network_file_system(Path("/x"), text) == ""


def test_this_machines_own_mounts_are_read(tmp_path: Path) -> None:
    if MOUNTS.exists():
        kinds = MOUNTS.read_text()
        assert network_file_system(tmp_path) == network_file_system(tmp_path, kinds)
