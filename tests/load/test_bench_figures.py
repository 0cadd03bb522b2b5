"""The bench's arithmetic: a wrong figure looks just like a right one."""

import pytest

from shanmen.platform.bench.figures import (
    Latency,
    cpu_ms_each,
    latency_of,
    per_second,
    percentile,
    ratio,
)
from shanmen.platform.bench.pgbench import Yard, YardstickFailed, read_yard
from shanmen.platform.bench.processes import Stat, read_stat

PGBENCH_OUTPUT = """\
pgbench (15.16 (Debian 15.16-0+deb12u1))
transaction type: scan.sql
scaling factor: 1
query mode: prepared
number of clients: 16
number of threads: 2
maximum number of tries: 1
duration: 10 s
number of transactions actually processed: 89938
number of failed transactions: 0 (0.000%)
latency average = 1.779 ms
initial connection time = 31.310 ms
tps = 8994.105821 (without initial connection time)
"""


@pytest.mark.parametrize(
    ("values", "fraction", "expected"),
    [
        ([7.0], 0.5, 7.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([1.0, 2.0, 3.0], 0.5, 2.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 102)], 0.99, 100.0),
        ([1.0, 2.0, 3.0], 1.0, 3.0),
    ],
)
def test_a_percentile_is_a_value_that_was_measured(
    values: list[float], fraction: float, expected: float
) -> None:
    assert percentile(values, fraction) == expected


def test_latency_is_in_milliseconds_and_minds_no_order() -> None:
    assert latency_of([0.004, 0.001, 0.002]) == Latency(p50_ms=2.0, p99_ms=4.0, max_ms=4.0)
    assert latency_of([]) is None


def test_rates_and_ratios() -> None:
    assert per_second(300, 1.5) == 200
    assert per_second(0, 0.0) == 0
    assert ratio(500, 2000) == 0.25
    assert ratio(500, None) is None


def test_cpu_per_operation_leaves_out_what_began_in_between() -> None:
    before = {"api": 10.0, "worker": 4.0, "gone": 1.0}
    after = {"api": 12.0, "worker": 4.0, "new": 3.0}
    assert cpu_ms_each(before, after, 1000) == {"api": 2.0, "worker": 0.0}
    assert cpu_ms_each(before, after, 0) == {}


def test_a_process_is_read_whatever_it_is_called() -> None:
    times = "150 50 30 10"  # utime, stime, cutime, cstime, in hundredths of a second
    text = f"42 (x) S 1 (y)) S 7 42 42 0 -1 4194304 99 88 0 0 {times} 20 0 4 0 12345 0 0"
    assert read_stat(text) == Stat(parent=7, own_s=2.0, ended_children_s=0.4)


def test_pgbench_output_is_read() -> None:
    assert read_yard(PGBENCH_OUTPUT) == Yard(per_second=8994.105821, mean_ms=1.779)
    with pytest.raises(YardstickFailed, match="no figures"):
        read_yard("pgbench: error: connection to server failed")
