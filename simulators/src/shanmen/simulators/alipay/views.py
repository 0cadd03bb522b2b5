"""Trades and payouts as the admin API shows them."""

from shanmen.simulators.books import Books
from shanmen.simulators.views import shown, shown_all


def trade(books: Books, out_trade_no: str) -> dict[str, object] | None:
    """One trade with its refunds, by the merchant's number or the channel's."""
    row = books.row("SELECT * FROM trades WHERE out_trade_no = ?1 OR trade_no = ?1", out_trade_no)
    if row is None:
        return None
    refunds = books.rows(
        "SELECT * FROM refunds WHERE trade_no = ? ORDER BY rowid", row["trade_no"]
    )
    return {**shown(row), "refunds": shown_all(refunds)}


def transfer(books: Books, out_biz_no: str) -> dict[str, object] | None:
    """One payout, by the merchant's number or the channel's."""
    row = books.row("SELECT * FROM transfers WHERE out_biz_no = ?1 OR order_id = ?1", out_biz_no)
    return None if row is None else shown(row)
