"""So many a second, and no more at once than the burst."""

from shanmen.gateway_adapters.usecases.breaking import Pace


def test_it_lets_so_many_through_a_second() -> None:
    now_s = 0.0
    pace = Pace(100, 0.5, lambda: now_s)
    assert pace.allowance() == 50
    pace.spend(50)
    assert pace.allowance() == 0
    now_s = 0.25
    assert pace.allowance() == 25
    pace.spend(10)
    now_s = 60.0
    assert pace.allowance() == 50


def test_a_slow_pace_lets_one_through_at_a_time() -> None:
    now_s = 0.0
    pace = Pace(0.5, 0.1, lambda: now_s)
    assert pace.allowance() == 1
    pace.spend(1)
    now_s = 1.9
    assert pace.allowance() == 0
    now_s = 2.0
    assert pace.allowance() == 1
