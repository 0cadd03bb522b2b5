"""What processes cost, out of /proc: CPU seconds and memory, each with all that it started."""

import asyncio
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Final, NamedTuple

QUIET_SHARE: Final = 0.10
"""Of one core, for all processes together: their polling is less, any work is more."""
_LOOK_S: Final = 0.5
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


class Stat(NamedTuple):
    """One process in /proc/<pid>/stat (proc(5)): its parent, its CPU seconds, and those of its
    children that have ended."""

    parent: int
    own_s: float
    ended_children_s: float


def read_stat(text: str) -> Stat:
    """The content of a stat file. The second column, a name, can hold anything but a newline."""
    columns = text.rpartition(")")[2].split()
    ticks = [int(column) for column in columns[11:15]]  # utime, stime, cutime, cstime
    own, ended_children = sum(ticks[:2]) * _TICK_S, sum(ticks[2:]) * _TICK_S
    return Stat(int(columns[1]), own, ended_children)


def cpu_seconds(roots: Mapping[str, int]) -> dict[str, float]:
    """CPU seconds so far of each named process, by its number, and all of its descendants."""
    stats = _all_stats()
    members = _members(roots, stats)
    return {
        name: sum(stats[pid].own_s + stats[pid].ended_children_s for pid in pids)
        for name, pids in members.items()
        if pids
    }


def memory_mb(roots: Mapping[str, int]) -> dict[str, float]:
    """Resident memory of each named process in MB (2^20 bytes).

    With descendants it is their proportional sum: what they share counts once.
    """
    members = _members(roots, _all_stats())
    return {
        name: sum(map(_proportional_mb if len(pids) > 1 else _resident_mb, pids))
        for name, pids in members.items()
        if pids
    }


def peak_memory_mb(pid: int) -> float:
    """The most memory that a process has had resident so far, in MB (2^20 bytes)."""
    return _kilobytes(pid, "status", "VmHWM:") / 1024


async def settle_down(roots: Mapping[str, int], *, within_s: float) -> float:
    """Wait until the processes have nothing to do any more; returns the seconds that it took.

    Gives up after `within_s`.
    """
    began_at = looked_at = perf_counter()
    used_s = sum(cpu_seconds(roots).values())
    while looked_at - began_at < within_s:
        await asyncio.sleep(_LOOK_S)
        now, now_used_s = perf_counter(), sum(cpu_seconds(roots).values())
        if (now_used_s - used_s) / (now - looked_at) < QUIET_SHARE:
            return looked_at - began_at
        looked_at, used_s = now, now_used_s
    return looked_at - began_at


def _members(roots: Mapping[str, int], stats: Mapping[int, Stat]) -> dict[str, list[int]]:
    children: defaultdict[int, list[int]] = defaultdict(list)
    for pid, stat in stats.items():
        children[stat.parent].append(pid)
    members: dict[str, list[int]] = {}
    for name, root in roots.items():
        found = [root] if root in stats else []
        for pid in found:  # grows while it is walked through
            found += children[pid]
        members[name] = found
    return members


def _all_stats() -> dict[int, Stat]:
    stats = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stats[int(folder.name)] = read_stat((folder / "stat").read_text())
        except OSError:  # ended meanwhile
            continue
    return stats


def _resident_mb(pid: int) -> float:
    return _kilobytes(pid, "status", "VmRSS:") / 1024


def _proportional_mb(pid: int) -> float:
    return _kilobytes(pid, "smaps_rollup", "Pss:") / 1024


def _kilobytes(pid: int, file: str, label: str) -> int:
    try:
        text = Path(f"/proc/{pid}/{file}").read_text()
    except OSError:  # ended meanwhile, or another user's
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(label)), 0)
