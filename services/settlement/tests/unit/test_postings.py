"""The posting rules, row by row, and over any sequence of facts."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanmen.settlement.domain.ledger import (
    SUSPENSE,
    Entry,
    Posting,
    PostingKind,
    account_kind,
    balance_fen,
    posting_for_admission,
    posting_for_debit,
    posting_for_forfeit,
    posting_for_owner,
    posting_for_payout,
    posting_for_payout_outside,
    posting_for_refund,
    posting_for_refund_outside,
    posting_for_unexplained,
)
from shanmen.settlement.domain.work import Direction

NOON = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)
MAX_FEN = 1_000_000_00
PAYERS: dict[str, dict[str, Any]] = {"owner": {}, "suspense": {"paid_from": SUSPENSE}}


def lines(posting: Posting) -> dict[str, int]:
    """Account → fen, debits positive."""
    return {entry.account: entry.debit_fen - entry.credit_fen for entry in posting.entries}


def debit(**given: Any) -> Posting:
    usual = {"operation_id": "deb_1", "order_no": "ord_1", "channel": "alipay"}
    return posting_for_debit(**{**usual, "occurred_at": NOON, **given})


def admission(**given: Any) -> Posting:
    usual = {"entitlement_id": "ent_1", "order_no": "ord_1", "spot_id": "spt_1"}
    return posting_for_admission(**{**usual, "occurred_at": NOON, **given})


@pytest.mark.parametrize(
    ("posting", "key", "expected"),
    [
        pytest.param(
            debit(price_fen=10_000, fee_fen=60),
            "debit:deb_1",
            {"cash:alipay": 10_060, "custody:ord_1": -10_000, "fees": -60},
            id="distributor debited",
        ),
        pytest.param(
            debit(price_fen=10_000, fee_fen=0, channel="huijinbao"),
            "debit:deb_1",
            {"cash:huijinbao": 10_000, "custody:ord_1": -10_000},
            id="debited without a fee",
        ),
        pytest.param(
            admission(part_fen=10_000, settle_fen=9_000, settlement_fee_fen=100),
            "admission:ent_1",
            {"custody:ord_1": 10_000, "payable:spt_1": -8_900, "fees": -100, "margin": -1_000},
            id="admitted",
        ),
        pytest.param(
            admission(part_fen=9_000, settle_fen=9_000, settlement_fee_fen=0),
            "admission:ent_1",
            {"custody:ord_1": 9_000, "payable:spt_1": -9_000},
            id="admitted without fee and margin",
        ),
        pytest.param(
            admission(part_fen=8_000, settle_fen=9_000, settlement_fee_fen=100),
            "admission:ent_1",
            {"custody:ord_1": 8_000, "margin": 1_000, "payable:spt_1": -8_900, "fees": -100},
            id="admitted at a negative margin",
        ),
        pytest.param(
            admission(part_fen=100, settle_fen=100, settlement_fee_fen=100),
            "admission:ent_1",
            {"custody:ord_1": 100, "fees": -100},
            id="the fee takes all",
        ),
        pytest.param(
            admission(part_fen=0, settle_fen=0, settlement_fee_fen=0),
            "admission:ent_1",
            {},
            id="a free ticket",
        ),
        pytest.param(
            posting_for_payout(
                payout_id="pay_1",
                order_no=None,
                spot_id="spt_1",
                channel="alipay",
                amount_fen=8_900,
                occurred_at=NOON,
            ),
            "payout:pay_1",
            {"payable:spt_1": 8_900, "cash:alipay": -8_900},
            id="paid out",
        ),
        pytest.param(
            posting_for_refund(
                refund_id="ref_1",
                order_no="ord_1",
                channel="alipay",
                part_fen=10_000,
                fee_fen=60,
                occurred_at=NOON,
            ),
            "refund:ref_1",
            {"custody:ord_1": 10_000, "fees": 60, "cash:alipay": -10_060},
            id="refunded with the fee",
        ),
        pytest.param(
            posting_for_forfeit(
                entitlement_id="ent_1", order_no="ord_1", part_fen=10_000, occurred_at=NOON
            ),
            "forfeit:ent_1",
            {"custody:ord_1": 10_000, "margin": -10_000},
            id="forfeited",
        ),
        *(
            pytest.param(
                posting_for_payout_outside(
                    payout_id="pay_1",
                    order_no=None,
                    spot_id="spt_1",
                    amount_fen=8_900,
                    occurred_at=NOON,
                    **payer,
                ),
                "payout_outside:pay_1",
                {"payable:spt_1": 8_900, paid_from: -8_900},
                id=f"a spot paid by {paid_from}",
            )
            for paid_from, payer in PAYERS.items()
        ),
        *(
            pytest.param(
                posting_for_refund_outside(
                    refund_id="ref_1",
                    order_no="ord_1",
                    part_fen=10_000,
                    fee_fen=60,
                    occurred_at=NOON,
                    **payer,
                ),
                "refund_outside:ref_1",
                {"custody:ord_1": 10_000, "fees": 60, paid_from: -10_060},
                id=f"refunded by {paid_from}",
            )
            for paid_from, payer in PAYERS.items()
        ),
        *(
            pytest.param(
                posting_for_owner(
                    movement_id="act_1",
                    channel="alipay",
                    amount_fen=500,
                    direction=direction,
                    occurred_at=NOON,
                ),
                "owner:act_1",
                {"cash:alipay": moved_fen, "owner": -moved_fen},
                id=f"the owner's money {direction}",
            )
            for direction, moved_fen in ((Direction.IN, 500), (Direction.OUT, -500))
        ),
        pytest.param(
            posting_for_unexplained(
                operation_id="pay_1",
                order_no=None,
                channel="alipay",
                amount_fen=8_900,
                occurred_at=NOON,
            ),
            "unexplained:pay_1",
            {"suspense": 8_900, "cash:alipay": -8_900},
            id="moved under a dead number",
        ),
    ],
)
def test_rows_of_the_posting_table(posting: Posting, key: str, expected: dict[str, int]) -> None:
    assert posting.key == key
    assert lines(posting) == expected


def test_a_spot_cannot_owe_us_for_a_visit() -> None:
    with pytest.raises(ValueError, match="below zero on payable:spt_1"):
        admission(part_fen=100, settle_fen=100, settlement_fee_fen=101)


def test_a_posting_out_of_balance_cannot_be_made() -> None:
    entries = (Entry("cash:alipay", 100, 0), Entry("fees", 0, 99))
    with pytest.raises(ValueError, match="100 and 99 fen"):
        Posting("debit:1", PostingKind.DEBIT, None, NOON, entries)


def test_a_posting_names_an_account_once() -> None:
    entries = (Entry("fees", 100, 0), Entry("fees", 0, 100))
    with pytest.raises(ValueError, match="twice"):
        Posting("debit:1", PostingKind.DEBIT, None, NOON, entries)


@pytest.mark.parametrize(
    ("account", "kind", "balance"),
    [
        ("cash:alipay", "asset", 70),
        ("wealth:prd_1", "asset", 70),
        ("custody:ord_1", "liability", -70),
        ("payable:spt_1", "liability", -70),
        ("suspense", "liability", -70),
        ("fees", "income", -70),
        ("margin", "income", -70),
        ("yield", "income", -70),
        ("owner", "equity", -70),
    ],
)
def test_accounts_grow_on_the_side_of_their_kind(account: str, kind: str, balance: int) -> None:
    assert account_kind(account) == kind
    assert balance_fen(account, debit_fen=100, credit_fen=30) == balance


def test_an_account_outside_the_chart_is_refused() -> None:
    with pytest.raises(ValueError, match="petty"):
        account_kind("petty:cash")


FEN = st.integers(0, MAX_FEN)


@st.composite
def lives(draw: st.DrawFn, number: int) -> tuple[list[Posting], dict[str, int]]:
    """One entitlement's postings up to some point, and what they leave, reckoned by hand."""
    price, fee = draw(FEN), draw(FEN)
    settle = draw(FEN)
    settlement_fee = draw(st.integers(0, settle))
    custody = f"custody:ord_{number}"
    postings = [debit(order_no=f"ord_{number}", price_fen=price, fee_fen=fee)]
    left = Counter({"cash:alipay": price + fee, custody: price, "fees": fee})
    match draw(st.sampled_from(["unused", "visited", "paid out", "refunded", "forfeited"])):
        case "visited" | "paid out" as end:
            visit = admission(
                order_no=f"ord_{number}",
                part_fen=price,
                settle_fen=settle,
                settlement_fee_fen=settlement_fee,
            )
            owed = settle - settlement_fee
            left.update({"payable:spt_1": owed, "fees": settlement_fee, "margin": price - settle})
            left[custody] = 0
            postings.append(visit)
            if end == "paid out":
                postings.append(
                    posting_for_payout(
                        payout_id=f"pay_{number}",
                        order_no=None,
                        spot_id="spt_1",
                        channel="alipay",
                        amount_fen=owed,
                        occurred_at=NOON,
                    )
                )
                left.update({"payable:spt_1": -owed, "cash:alipay": -owed})
        case "refunded":
            postings.append(
                posting_for_refund(
                    refund_id=f"ref_{number}",
                    order_no=f"ord_{number}",
                    channel="alipay",
                    part_fen=price,
                    fee_fen=fee,
                    occurred_at=NOON,
                )
            )
            left = Counter()
        case "forfeited":
            postings.append(
                posting_for_forfeit(
                    entitlement_id=f"ent_{number}",
                    order_no=f"ord_{number}",
                    part_fen=price,
                    occurred_at=NOON,
                )
            )
            left.update({"margin": price})
            left[custody] = 0
    return postings, dict(left)


@given(st.data(), st.integers(1, 6))
def test_any_facts_keep_the_books_balanced_and_as_expected(data: st.DataObject, n: int) -> None:
    histories = [data.draw(lives(number)) for number in range(n)]
    postings = data.draw(st.permutations([p for history, _ in histories for p in history]))
    booked: Counter[str] = Counter()
    for posting in postings:
        assert sum(lines(posting).values()) == 0
        for entry in posting.entries:
            booked[entry.account] += balance_fen(entry.account, entry.debit_fen, entry.credit_fen)
    expected: Counter[str] = Counter()
    for _, left in histories:
        expected.update(left)
    assert {a: fen for a, fen in booked.items() if fen} == {
        a: fen for a, fen in expected.items() if fen
    }
