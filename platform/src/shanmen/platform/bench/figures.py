"""The arithmetic of the bench: percentiles, rates, shares and ratios."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Latency:
    """How long single operations took, in milliseconds."""

    p50_ms: float
    p99_ms: float
    max_ms: float


def percentile(ascending: Sequence[float], fraction: float) -> float:
    """The smallest value that at least this fraction of all values does not exceed.

    `ascending` is sorted and not empty; 0 < fraction <= 1. No value is made up between two.
    """
    return ascending[math.ceil(fraction * len(ascending)) - 1]


def latency_of(seconds: Sequence[float]) -> Latency | None:
    """The latency of operations that took so many seconds each, in any order; None of none."""
    if not seconds:
        return None
    ascending = sorted(seconds)
    return Latency(
        p50_ms=percentile(ascending, 0.50) * 1000,
        p99_ms=percentile(ascending, 0.99) * 1000,
        max_ms=ascending[-1] * 1000,
    )


def per_second(count: int, seconds: float) -> float:
    """A rate; zero when nothing happened."""
    return count / seconds if count and seconds > 0 else 0.0


def cpu_ms_each(
    before_s: Mapping[str, float], after_s: Mapping[str, float], operations: int
) -> dict[str, float]:
    """CPU milliseconds that one operation cost each process, out of two readings in seconds.

    Only processes that are in both readings: of another nobody knows where it began.
    """
    if operations <= 0:
        return {}
    return {
        name: (after_s[name] - before_s[name]) * 1000 / operations
        for name in before_s
        if name in after_s
    }


def ratio(ours: float, yardstick: float | None) -> float | None:
    """Our rate as a part of the yardstick's; None where there is no yardstick."""
    return ours / yardstick if yardstick else None
