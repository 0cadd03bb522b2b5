"""What of an order's transaction fee goes back with each of its entitlements."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanmen.settlement.domain.refunds import fee_shares_fen

PARTS = st.dictionaries(st.text(min_size=1), st.integers(0, 10**9), min_size=1, max_size=30)


@given(fee_fen=st.integers(0, 10**9), parts_fen=PARTS)
def test_the_shares_of_all_are_the_fee_to_the_fen(fee_fen: int, parts_fen: dict[str, int]) -> None:
    shares = fee_shares_fen(fee_fen, parts_fen)
    assert shares.keys() == parts_fen.keys()
    assert sum(shares.values()) == fee_fen
    assert min(shares.values()) >= 0


@given(fee_fen=st.integers(0, 10**9), parts_fen=PARTS, data=st.data())
def test_a_share_is_the_same_whatever_order_they_are_named_in(
    fee_fen: int, parts_fen: dict[str, int], data: st.DataObject
) -> None:
    shuffled = dict(data.draw(st.permutations(list(parts_fen.items()))))
    assert fee_shares_fen(fee_fen, shuffled) == fee_shares_fen(fee_fen, parts_fen)


@given(fee_fen=st.integers(0, 10**9), parts_fen=PARTS)
def test_no_share_is_a_whole_fen_off_its_proportion(
    fee_fen: int, parts_fen: dict[str, int]
) -> None:
    whole = sum(parts_fen.values())
    if whole:
        for key, share in fee_shares_fen(fee_fen, parts_fen).items():
            assert abs(share * whole - fee_fen * parts_fen[key]) < whole


def test_a_remainder_goes_to_the_earlier_id() -> None:
    assert fee_shares_fen(100, {"c": 1, "a": 1, "b": 1}) == {"a": 34, "b": 33, "c": 33}


def test_there_is_no_share_without_an_entitlement() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        fee_shares_fen(100, {})
