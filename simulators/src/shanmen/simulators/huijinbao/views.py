"""Orders, wealth products and positions as the admin API shows them."""

from shanmen.simulators.books import Books
from shanmen.simulators.huijinbao import wealth
from shanmen.simulators.views import shown, shown_all


def orders(
    books: Books, after: int, limit: int, biz_type: str | None, status: str | None
) -> list[dict[str, object]]:
    """Orders in the order they came, each with its `position` to go on from."""
    return shown_all(
        books.rows(
            "SELECT rowid AS position, * FROM orders WHERE rowid > ?1"
            " AND (?3 IS NULL OR biz_type = ?3) AND (?4 IS NULL OR status = ?4)"
            " ORDER BY rowid LIMIT ?2",
            after,
            limit,
            biz_type,
            status,
        )
    )


def order(books: Books, number: str) -> dict[str, object] | None:
    """One order with its refunds, by the merchant's number or the channel's."""
    row = books.row("SELECT * FROM orders WHERE req_seq_id = ?1 OR hjb_seq_id = ?1", number)
    if row is None:
        return None
    refunds = books.rows(
        "SELECT * FROM orders WHERE original_no = ? ORDER BY rowid", row["hjb_seq_id"]
    )
    return {**shown(row), "refunds": shown_all(refunds)}


def product(books: Books, product_code: str) -> dict[str, object] | None:
    """A wealth product with the yields that were given for single days."""
    row = wealth.find_product(books, product_code)
    if row is None:
        return None
    given = books.rows(
        "SELECT * FROM product_yields WHERE product_code = ? ORDER BY date", product_code
    )
    told = shown(row)
    return {
        **{name: value for name, value in told.items() if name != "yield_10k_e4"},
        "yield_10k": wealth.yield_10k(row["yield_10k_e4"]),
        "yields": {each["date"]: wealth.yield_10k(each["yield_10k_e4"]) for each in given},
    }


def positions(books: Books, after: int, limit: int) -> list[dict[str, object]]:
    """Every position with what it holds, from behind position `after`."""
    wealth.accrue(books)
    return [
        {
            **shown(row),
            **vars(wealth.holding(books, row["account_no"], row["product_code"], row["biz_no"])),
        }
        for row in books.rows(
            "SELECT * FROM positions WHERE position_id > ? ORDER BY position_id LIMIT ?",
            after,
            limit,
        )
    ]


def position_yields(books: Books, position_id: int) -> list[dict[str, object]]:
    """A position's yield day by day."""
    wealth.accrue(books)
    return shown_all(
        books.rows(
            "SELECT * FROM position_yields WHERE position_id = ? ORDER BY date", position_id
        )
    )
