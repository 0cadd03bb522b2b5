"""Wealth products: subscribing, redeeming, liquidating, and asking."""

import sqlite3
from datetime import timedelta

from shanmen.simulators.books import BalanceTooLow, Books
from shanmen.simulators.clearing import Later
from shanmen.simulators.huijinbao import orders, wealth
from shanmen.simulators.huijinbao.methods.call import Call
from shanmen.simulators.huijinbao.wire import Answer, Refusal, success
from shanmen.simulators.moments import china_date, china_midnight_ms, china_rfc3339


def subscribe(books: Books, call: Call) -> Answer:
    """Invest the merchant's money; it earns from the next day on."""
    amount_fen, product = call.amount_fen(), _product(books, call)
    if product["status"] != wealth.OPEN:
        raise Refusal("HJB_0050", product["product_code"])
    position_id = wealth.open_position(
        books, _own_account(call), product["product_code"], call.required("biz_no", 64)
    )
    new = orders.NewOrder(
        merchant_id=call.merchant_id,
        req_seq_id=call.key(),
        biz_type="subscribe",
        payer_no=call.account_no,
        payee_no=product["account_no"],
        amount_fen=amount_fen,
        biz_no=call.required("biz_no", 64),
        position_id=position_id,
        notify_url=call.text("notify_url", 512),
    )
    return orders.answer_of(books, orders.open_order(books, new, call.later))


def redeem(books: Books, call: Call) -> Answer:
    """Take principal back: at once (FAST), or when the next day begins (NORMAL)."""
    amount_fen, product = call.amount_fen(), _product(books, call)
    mode = call.choice("mode", (orders.FAST, orders.NORMAL))
    position = _position(books, call, product)
    if mode == orders.FAST:
        _require_fast_limit(books, call, product, amount_fen)
    try:
        taken = wealth.take_principal(books, position["position_id"], amount_fen)
    except BalanceTooLow:
        raise Refusal("HJB_0005", "the position holds less than trx_amount") from None
    arrive_ms = books.now_ms
    if mode == orders.NORMAL:
        arrive_ms = china_midnight_ms(china_date(books.now_ms) + timedelta(days=1))
    new = _outflow(
        call,
        product,
        position,
        biz_type="redeem",
        amount_fen=amount_fen,
        principal_fen=taken.principal_fen,
        confirm_date=taken.confirm_date,
        mode=mode,
        arrive_ms=arrive_ms,
    )
    tomorrow = (
        Later(succeeds=True, queries=None, due_ms=arrive_ms) if mode == orders.NORMAL else None
    )
    return orders.answer_of(books, orders.open_order(books, new, call.later or tomorrow))


def liquidate(books: Books, call: Call) -> Answer:
    """End a position: all its principal and the yield that is owed, at once."""
    product = _product(books, call)
    position = _position(books, call, product)
    taken, yield_fen = wealth.take_everything(books, position["position_id"])
    new = _outflow(
        call,
        product,
        position,
        biz_type="liquidate",
        amount_fen=taken.principal_fen + yield_fen,
        principal_fen=taken.principal_fen,
        yield_fen=yield_fen,
        confirm_date=taken.confirm_date,
    )
    return orders.answer_of(books, orders.open_order(books, new, call.later))


def query_position(books: Books, call: Call) -> Answer:
    """What is invested, on its way in or out, and earned so far."""
    product = _product(books, call)
    held = wealth.holding(
        books, _own_account(call), product["product_code"], call.text("biz_no", 64)
    )
    return success(
        principal=held.principal_fen,
        pending_in=held.pending_in_fen,
        pending_out=held.pending_out_fen,
        accrued_yield=held.accrued_fen,
        as_of=china_rfc3339(books.now_ms),
    )


def query_yield(books: Books, call: Call) -> Answer:
    """The yield day by day, both ends included."""
    product, first, last = _product(books, call), call.day("from"), call.day("to")
    rows = wealth.yield_rows(
        books,
        _own_account(call),
        product["product_code"],
        call.text("biz_no", 64),
        (first.isoformat(), last.isoformat()),
    )
    return success(
        rows=[
            {
                "date": row["date"],
                "principal": row["principal_fen"],
                "yield_10k": wealth.yield_10k(row["yield_10k_e4"]),
                "yield_fen": row["yield_fen"],
            }
            for row in rows
        ]
    )


def _own_account(call: Call) -> str:
    if call.required("cst_no") != call.account_no:
        raise Refusal("HJB_0009", "cst_no must be the merchant's own account")
    return call.account_no


def _product(books: Books, call: Call) -> sqlite3.Row:
    product = wealth.find_product(books, call.required("product_code", 64))
    if product is None:
        raise Refusal("HJB_0050", "there is no such product")
    return product


def _position(books: Books, call: Call, product: sqlite3.Row) -> sqlite3.Row:
    found = wealth.find_positions(
        books, _own_account(call), product["product_code"], call.required("biz_no", 64)
    )
    if not found:
        raise Refusal("HJB_0019", "nothing was ever invested under this biz_no")
    return found[0]


def _outflow(
    call: Call,
    product: sqlite3.Row,
    position: sqlite3.Row,
    *,
    biz_type: str,
    amount_fen: int,
    principal_fen: int,
    confirm_date: str,
    yield_fen: int | None = None,
    mode: str | None = None,
    arrive_ms: int | None = None,
) -> orders.NewOrder:
    return orders.NewOrder(
        merchant_id=call.merchant_id,
        req_seq_id=call.key(),
        biz_type=biz_type,
        payer_no=product["account_no"],
        payee_no=call.account_no,
        amount_fen=amount_fen,
        biz_no=position["biz_no"],
        position_id=position["position_id"],
        mode=mode,
        principal_fen=principal_fen,
        yield_fen=yield_fen,
        confirm_date=confirm_date,
        arrive_ms=arrive_ms,
        notify_url=call.text("notify_url", 512),
    )


def _require_fast_limit(books: Books, call: Call, product: sqlite3.Row, amount_fen: int) -> None:
    limit_fen = product["fast_limit_fen"]
    if limit_fen is None:
        return
    row = books.row(
        "SELECT coalesce(sum(amount_fen), 0) AS sum_fen FROM orders WHERE payer_no = ?"
        " AND payee_no = ? AND mode = ? AND status <> 'F' AND created_ms >= ?",
        product["account_no"],
        call.account_no,
        orders.FAST,
        china_midnight_ms(china_date(books.now_ms)),
    )
    if row is not None and row["sum_fen"] + amount_fen > limit_fen:
        raise Refusal("HJB_0051", f"{limit_fen} a day")
