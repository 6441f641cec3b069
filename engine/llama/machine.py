"""What this machine offers: cores and free memory, a container's limits included."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def cores() -> int:
    """Physical cores that this process may use, at least 1.

    Decode threads wait for each other at every operation, so two on one core are slower than one.
    """
    count = _allowed_cpus()
    if _read(Path("/sys/devices/system/cpu/smt/active")) == "1":
        count = (count + 1) // 2
    quota = (_read(_CGROUP / "cpu.max") or "max").split()
    if quota[0] != "max" and len(quota) == 2:
        count = min(count, max(1, math.floor(int(quota[0]) / int(quota[1]))))
    return max(1, count)


def _allowed_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int:
    """Bytes that can be had without swapping: the system's estimate, within the container's."""
    free = _system_free()
    limit = _read(_CGROUP / "memory.max") or "max"
    if limit != "max":
        used = int(_read(_CGROUP / "memory.current") or 0)
        free = min(free, max(0, int(limit) - used))
    return free


def _system_free() -> int:
    for line in (_read(Path("/proc/meminfo")) or "").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    # macOS has no such figure without a library; half of the physical memory is a fair guess.
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
