"""Processes that files' rights bind, whoever runs the tests."""

from __future__ import annotations

import ctypes
import os

_VERSION = 0x20080522
"""Linux' third form of capabilities: two words of each set."""
_WITHOUT = 0b110
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, by which root passes all rights over."""


def bound_by_rights() -> None:
    """Give up what lets root open any file; another user has nothing to give up.

    What is of mode 0 is locked for its owner, too, and libraries stay where they can be read.
    """
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION, 0)
    words = (ctypes.c_uint32 * 6)()
    if libc.capget(header, words):
        raise OSError(ctypes.get_errno(), "capget")
    for place in range(3):  # effective, permitted, inheritable
        words[place] &= ~_WITHOUT
    if libc.capset(header, words):
        raise OSError(ctypes.get_errno(), "capset")
