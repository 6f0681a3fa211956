"""Keep freed memory in the process: on Linux, training on the CPU runs up to 1.6 times as fast.

glibc gives large blocks back to the system when they are freed and asks for them again at the next
iteration, and the system clears every page anew. Measured on two cores (AMD EPYC, torch 2.15, batch
10, channels_last, bf16): AlexNet 218 to 133 ms a step, BVLC GoogLeNet 390 to 371, GoogLeNet no
change. Numbers do not change.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from typing import Any

# malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEEP = 2**31 - 1
"""The largest threshold that mallopt takes, bytes."""


def keep_freed_memory() -> bool:
    """Make glibc keep freed memory; False where the C library is another one."""
    mallopt = _glibc("mallopt", ctypes.c_int, ctypes.c_int)
    if mallopt is None:
        return False
    return all(mallopt(option, _KEEP) == 1 for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD))


def free_networks() -> None:
    """Free what a training run leaves, for the next one in this process to use.

    A network that is no longer used stays in reference cycles until they are collected; several of
    them would add up.
    """
    gc.collect()


def give_back_memory() -> None:
    """Give what is free back to the system, when no other training run follows at once."""
    free_networks()
    trim_freed_memory()


def trim_freed_memory() -> None:
    """Give what is freed already back to the system, without collecting garbage first.

    glibc keeps it for each thread: six threads that have decoded a mammogram in turn would keep six
    mammograms. Other allocators need no request.
    """
    trim = _glibc("malloc_trim", ctypes.c_size_t)
    if trim is not None:
        trim(0)


def _glibc(name: str, *arguments: Any) -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        function = getattr(ctypes.CDLL(None), name)
    except AttributeError:  # another C library (musl)
        return None
    function.argtypes, function.restype = arguments, ctypes.c_int
    found: Callable[..., int] = function
    return found
