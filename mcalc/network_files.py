"""Whether a file lies on a network file system, where SQLite's locks do not hold."""

from __future__ import annotations

import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = {
    "9p", "afs", "beegfs", "beegfs_nodev", "ceph", "cifs", "coda", "cvfs", "davfs", "drvfs",
    "fhgfs", "gfs", "gfs2", "glusterfs", "gpfs", "ibrix", "lustre", "ncpfs", "nfs", "nfs3", "nfs4",
    "ocfs2", "orangefs", "panfs", "pvfs2", "smb2", "smb3", "smbfs", "wekafs",
}  # fmt: skip
_FUSE = (
    "sshfs",
    "glusterfs",
    "s3fs",
    "rclone",
    "davfs",
    "ceph",
    "gcsfuse",
    "juicefs",
    "smb",
    "nfs",
)
"""Parts of the names of network file systems that programs provide (`fuse.sshfs`)."""


def network_file_system(path: Path, mounts: str | None = None) -> str:
    """The type of the network file system that a path is on, as `nfs4`; empty for a local one.

    `mounts`: the text of Linux's /proc/self/mountinfo (proc(5)); None for that of this machine.
    Where there is none, as on macOS, nothing is known, and the answer is empty.
    """
    if mounts is None:
        try:
            mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return ""
    kind, longest = "", -1
    place = os.path.realpath(path)
    for line in mounts.splitlines():
        # 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw: any number of tags
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 6 or not after:
            continue
        point = _decoded(fields[4])
        inside = point == "/" or place == point or place.startswith(f"{point}/")
        # of several mounts on one point, the last one is seen
        if inside and len(point) >= longest:
            kind, longest = after.split(" ")[0], len(point)
    return kind if _is_network(kind) else ""


def _is_network(kind: str) -> bool:
    if kind.startswith("fuse."):
        return any(name in kind for name in _FUSE)
    return kind in _NETWORK


def _decoded(field: str) -> str:
    """A field with the bytes that the kernel writes as octal numbers: space is `\\040`."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
