"""Money in whole fen: nothing lost in a split, one rounding rule, no float on the way."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanmen.common.money import allocate, from_yuan, share_bps, to_yuan

AMOUNTS = st.integers(min_value=0, max_value=10**15)
WEIGHTS = st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=20)


@given(total_fen=AMOUNTS, weights=WEIGHTS)
def test_the_parts_of_a_split_add_up_and_are_fair(total_fen: int, weights: list[int]) -> None:
    parts = allocate(total_fen, weights)
    assert sum(parts) == total_fen
    effective = weights if any(weights) else [1] * len(weights)
    for part, weight in zip(parts, effective, strict=True):
        exact = Decimal(total_fen) * weight / sum(effective)
        assert abs(Decimal(part) - exact) < 1
        assert part == 0 or weight > 0, "who has no weight gets nothing"


@pytest.mark.parametrize(
    ("total_fen", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (101, [1, 1, 1], [34, 34, 33]),
        (100, [0, 0], [50, 50]),
        (1, [1, 1], [1, 0]),
        (0, [3, 4], [0, 0]),
        (10, [1, 2], [3, 7]),
        (8_888, [60, 40], [5_333, 3_555]),
    ],
)
def test_a_split_goes_by_largest_remainder(
    total_fen: int, weights: list[int], parts: list[int]
) -> None:
    assert allocate(total_fen, weights) == parts


@pytest.mark.parametrize(("total_fen", "weights"), [(1, []), (-1, [1]), (1, [1, -1])])
def test_what_cannot_be_split(total_fen: int, weights: list[int]) -> None:
    with pytest.raises(ValueError, match="allocate needs"):
        allocate(total_fen, weights)


@given(amount_fen=AMOUNTS, rate_bps=st.integers(min_value=0, max_value=10_000))
def test_a_share_is_rounded_half_up(amount_fen: int, rate_bps: int) -> None:
    exact = Decimal(amount_fen) * rate_bps / 10_000
    assert share_bps(amount_fen, rate_bps) == exact.quantize(Decimal(1), ROUND_HALF_UP)


@pytest.mark.parametrize(
    ("amount_fen", "rate_bps", "share_fen"),
    [(10_000, 60, 60), (50, 100, 1), (49, 100, 0), (8_888, 60, 53), (1, 10_000, 1), (1, 0, 0)],
)
def test_shares(amount_fen: int, rate_bps: int, share_fen: int) -> None:
    assert share_bps(amount_fen, rate_bps) == share_fen


@pytest.mark.parametrize(("amount_fen", "rate_bps"), [(-1, 1), (1, -1)])
def test_a_share_is_not_taken_of_a_debt(amount_fen: int, rate_bps: int) -> None:
    with pytest.raises(ValueError, match="non-negative"):
        share_bps(amount_fen, rate_bps)


@given(amount_fen=st.integers(min_value=-(10**17) + 1, max_value=10**17 - 1))
def test_yuan_and_fen_are_the_same_money(amount_fen: int) -> None:
    text = to_yuan(amount_fen)
    assert from_yuan(text) == amount_fen
    assert Decimal(text) * 100 == amount_fen


@pytest.mark.parametrize(
    ("text", "amount_fen"),
    [("88.88", 8_888), ("0.1", 10), ("7", 700), ("-0.05", -5), (" 1.00 ", 100), ("0.07", 7)],
)
def test_yuan_as_people_write_it(text: str, amount_fen: int) -> None:
    assert from_yuan(text) == amount_fen


@pytest.mark.parametrize(
    "text", ["", "1.234", "1e3", "1,000", ".5", "1.", "NaN", "+1", "¥1", "1" * 16, "--1"]
)
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        from_yuan(text)
