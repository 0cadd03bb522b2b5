"""Writes a long day into all books: the channel's, the gateway's and the ledger.

Nobody could make a hundred thousand payments for it. The channel's books are written by the
simulator's own code, ours by SQL, under all their constraints and triggers.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg

from shanmen.common.db import asyncpg_dsn
from shanmen.platform.bench.movements import Movement
from shanmen.platform.installation import (
    ALIPAY_APP_ID,
    ALIPAY_PLATFORM_ACCOUNT,
    HUIJINBAO_MERCHANT,
    HUIJINBAO_PLATFORM_ACCOUNT,
    HUIJINBAO_WEALTH_PRODUCT,
)
from shanmen.platform.sample import Trader
from shanmen.simulators.alipay import trades, transfers
from shanmen.simulators.books import Books
from shanmen.simulators.huijinbao import orders, wealth

PAYERS: Final[Mapping[str, Trader]] = {
    "alipay": Trader("2088500000000001", "压测旅行社", opening_fen=10**12),
    "huijinbao": Trader("6200500000000001", "压测旅行社", opening_fen=10**12, channel="huijinbao"),
}
PAYEES: Final[Mapping[str, Trader]] = {
    "alipay": Trader("2088500000000002", "压测景区"),
    "huijinbao": Trader("6200500000000002", "压测景区", channel="huijinbao"),
}

_MOVEMENTS_AT_ONCE: Final = 2_000
_STATEMENT_TIMEOUT: Final = "120s"
_POSTED_AS: Final[Mapping[str, str]] = {"subscribe": "subscription"}
"""Kinds of posting, where they are not called as the operation is."""
_COMES_IN: Final = frozenset({"debit"})
_SECOND: Final = timedelta(seconds=1)


# ── the channel's books ─────────────────────────────────────────────────────────────────────────


def book_at_channel(books_file: Path, channel: str, movements: Sequence[Movement]) -> None:
    """Move the money at a simulated channel, each movement at its own time."""
    with closing(sqlite3.connect(books_file, timeout=30, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = OFF")
        # Nobody waits for the news of these.
        for statement in _SILENCE[channel]:
            connection.execute(statement)
        book = _BOOKS[channel]()
        there = [each for each in movements if each.there_fen is not None]
        for first in range(0, len(there), _MOVEMENTS_AT_ONCE):
            connection.execute("BEGIN IMMEDIATE")
            for each in there[first : first + _MOVEMENTS_AT_ONCE]:
                book(Books(connection, round(each.at.timestamp() * 1000)), each)
            connection.execute("COMMIT")


_Book = Callable[[Books, Movement], None]


def _alipay() -> _Book:
    refunded: dict[str, sqlite3.Row] = {}

    def book(books: Books, each: Movement) -> None:
        amount_fen = each.there_fen or 0
        if each.kind == "refund":
            trades.refund(
                books,
                refunded[each.root],
                out_request_no=each.number,
                amount_fen=amount_fen,
                reason=None,
                method="alipay.trade.refund",
            )
        elif each.kind == "payout":
            transfers.open_transfer(books, _transfer(each, amount_fen), None)
        else:
            refunded[each.number] = trades.open_trade(books, _trade(each, amount_fen), None)

    return book


def _trade(each: Movement, amount_fen: int) -> trades.NewTrade:
    return trades.NewTrade(
        merchant_no=ALIPAY_PLATFORM_ACCOUNT,
        app_id=ALIPAY_APP_ID,
        out_trade_no=each.number,
        buyer_no=PAYERS["alipay"].account_no,
        agreement_no="",
        amount_fen=amount_fen,
        subject="压测票",
        body=None,
        passback_params=None,
        notify_url=None,
        fingerprint="",
    )


def _transfer(each: Movement, amount_fen: int) -> transfers.NewTransfer:
    return transfers.NewTransfer(
        merchant_no=ALIPAY_PLATFORM_ACCOUNT,
        app_id=ALIPAY_APP_ID,
        out_biz_no=each.number,
        payee_no=PAYEES["alipay"].account_no,
        amount_fen=amount_fen,
        order_title="压测票",
        remark=None,
        product_code="TRANS_ACCOUNT_NO_PWD",
        biz_scene="DIRECT_TRANSFER",
        fingerprint="",
    )


def _huijinbao() -> _Book:
    own = HUIJINBAO_PLATFORM_ACCOUNT
    payer, payee = PAYERS["huijinbao"].account_no, PAYEES["huijinbao"].account_no
    kinds = {
        "debit": ("pay", payer, own),
        "payout": ("transfer", own, payee),
        "refund": ("refund", own, payer),
        "subscribe": ("subscribe", own, f"FUND-{HUIJINBAO_WEALTH_PRODUCT}"),
    }
    channel_numbers: dict[str, str] = {}

    def book(books: Books, each: Movement) -> None:
        biz_type, payer_no, payee_no = kinds[each.kind]
        position_id = None
        if each.kind == "subscribe":
            position_id = wealth.open_position(books, own, HUIJINBAO_WEALTH_PRODUCT, "bench")
        new = orders.NewOrder(
            merchant_id=HUIJINBAO_MERCHANT,
            req_seq_id=each.number,
            biz_type=biz_type,
            payer_no=payer_no,
            payee_no=payee_no,
            amount_fen=each.there_fen or 0,
            biz_no=each.root,
            original_no=channel_numbers[each.root] if each.kind == "refund" else None,
            position_id=position_id,
        )
        channel_numbers[each.number] = orders.open_order(books, new, None)["hjb_seq_id"]

    return book


_BOOKS: Final[Mapping[str, Callable[[], _Book]]] = {"alipay": _alipay, "huijinbao": _huijinbao}
_SILENCE: Final[Mapping[str, Sequence[str]]] = {
    "alipay": ("UPDATE apps SET gateway_notify_url = NULL",),
    "huijinbao": ("UPDATE merchants SET notify_url = NULL",),
}


# ── our own ─────────────────────────────────────────────────────────────────────────────────────

_MOVED: Final = """
CREATE TEMPORARY TABLE moved (
    key text, kind text, order_no text, account text, moved_fen bigint, at timestamptz
) ON COMMIT DROP
"""
_POST: Final = """
INSERT INTO postings (key, kind, order_no, occurred_at) SELECT key, kind, order_no, at FROM moved
"""
_ENTER: Final = """
INSERT INTO entries (posting_id, account, debit_fen, credit_fen, occurred_at)
SELECT posting_id, side.account, greatest(side.fen, 0), greatest(-side.fen, 0), at
FROM moved JOIN postings USING (key)
CROSS JOIN LATERAL (VALUES ($1, moved_fen), (moved.account, -moved_fen)) AS side (account, fen)
"""
_ORPHANED: Final = (
    *("operation_id", "order_no", "distributor_id", "account_id", "channel", "amount_fen"),
    *("debited_at", "refunded_at"),
)
_REFUNDED: Final = (
    *("refund_id", "order_no", "distributor_id", "original_operation_id", "account_id"),
    *("channel", "part_fen", "fee_fen", "amount_fen", "status", "requested_at", "finished_at"),
)
_OPERATED: Final = (
    *("operation_id", "kind", "channel", "account_id", "amount_fen", "description"),
    *("business_ref", "original_operation_id", "status", "next_action", "next_at", "outcome"),
    *("requested_at", "opened_at", "finished_at"),
)


async def book_in_ledger(database_url: str, channel: str, movements: Sequence[Movement]) -> None:
    """Post what settlement's ledger has, and note the refunds behind it."""
    connection = await _connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute(_MOVED)
            await connection.copy_records_to_table("moved", records=_postings(movements))
            await connection.execute(_POST)
            await connection.execute(_ENTER, f"cash:{channel}")
            # A refund's debit comes before it: a trigger compares them.
            refunds = [each for each in movements if each.kind == "refund"]
            await connection.copy_records_to_table(
                "orphaned_debits",
                records=[_orphaned(channel, each) for each in refunds],
                columns=_ORPHANED,
            )
            await connection.copy_records_to_table(
                "refunds",
                records=[_refunded(channel, each) for each in refunds],
                columns=_REFUNDED,
            )
        # As it would be in steady use, so that no plan is made for empty tables.
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


async def book_at_gateway(database_url: str, channel: str, movements: Sequence[Movement]) -> None:
    """Note the operations that moved the money."""
    connection = await _connect(database_url)
    try:
        await connection.copy_records_to_table(
            "operations",
            records=(_operated(channel, each) for each in movements if each.is_known),
            columns=_OPERATED,
        )
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


async def _connect(database_url: str) -> asyncpg.Connection:
    return await asyncpg.connect(
        asyncpg_dsn(database_url),
        timeout=10,
        server_settings={"statement_timeout": _STATEMENT_TIMEOUT},
    )


def _postings(movements: Sequence[Movement]) -> Iterator[tuple[Any, ...]]:
    for each in movements:
        if each.here_fen is None:
            continue
        kind = _POSTED_AS.get(each.kind, each.kind)
        moved_fen = each.here_fen if each.kind in _COMES_IN else -each.here_fen
        yield f"{kind}:{each.number}", kind, each.root, _against(each), moved_fen, each.at


def _against(each: Movement) -> str:
    """The account on the other side of cash."""
    return {"payout": "payable:bench", "subscribe": "wealth:bench"}.get(
        each.kind, f"custody:{each.root}"
    )


def _orphaned(channel: str, refund: Movement) -> tuple[Any, ...]:
    parties = refund.root, "bench", "bench", channel
    return refund.root, *parties, refund.there_fen, refund.at - _SECOND, refund.at


def _refunded(channel: str, refund: Movement) -> tuple[Any, ...]:
    parties = refund.number, refund.root, "bench", refund.root, "bench", channel
    amounts_fen = refund.there_fen, 0, refund.there_fen
    return *parties, *amounts_fen, "refunded", refund.at - _SECOND, refund.at


def _operated(channel: str, each: Movement) -> tuple[Any, ...]:
    account_id = None if each.kind == "subscribe" else "bench"
    original = each.root if each.kind == "refund" else None
    amount_fen = each.there_fen or each.here_fen
    told = each.number, each.kind, channel, account_id, amount_fen, "压测票", each.root, original
    return *told, "succeeded", "query", each.at, "ok", each.at, each.at, each.at
