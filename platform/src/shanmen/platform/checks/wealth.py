"""Invested money: what went in comes out, once, and at the end nothing is left inside."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Final

from shanmen.platform.checks.findings import Tally
from shanmen.platform.checks.invariants import Invariant, compared, none_of
from shanmen.platform.checks.view import Query, Row, View, keyed

_CARRIED_OUT: Final[Mapping[str, str]] = {
    "requested": "open",
    "done": "succeeded",
    "parked": "parked",
    "failed": "failed",
}
"""The status of the operation behind a move of each status."""

_MOVES: Final = {
    "move": keyed(
        "settlement",
        "SELECT move_id AS key, kind, product_id, status, amount_fen, principal_fen, yield_fen"
        " FROM wealth_moves",
    ),
    "operation": keyed(
        "gateway-adapters",
        "SELECT operation_id AS key, kind, business_ref, status, amount_fen, principal_fen,"
        " yield_fen FROM operations WHERE kind IN ('subscribe', 'redeem', 'liquidate')",
    ),
}


def _judge_moved(_: str, rows: Mapping[str, Row | None]) -> Iterable[str]:
    move, operation = rows["move"], rows["operation"]
    if move is None or operation is None:
        yield "no operation at the gateway" if move else "nobody wants this operation"
        return
    if operation["status"] != _CARRIED_OUT[move["status"]]:
        yield f"{move['status']} here, {operation['status']} at the gateway"
    for name, other in (("kind", "kind"), ("product_id", "business_ref"), ("amount_fen",) * 2):
        if move[name] != operation[other]:
            yield f"{name} {move[name]} here, {operation[other]} at the gateway"
    if move["status"] == "done":
        # Where the channel does not tell them apart, all of the amount is principal.
        untold = operation["principal_fen"] is None
        moved = {
            "principal_fen": operation["amount_fen"] if untold else operation["principal_fen"],
            "yield_fen": 0 if untold else operation["yield_fen"],
        }
        for name, fen in moved.items():
            if move[name] != fen:
                yield f"{name} {move[name]} here, {fen} at the gateway"


_UNINVESTED: Final = """
SELECT d.order_no, d.product_id, d.price_fen FROM debits d
WHERE d.invests AND d.price_fen > 0
    AND NOT EXISTS (SELECT FROM wealth_moves m WHERE m.kind = 'subscribe'
        AND m.order_no = d.order_no)
"""
_INVESTED_UNLIKE_DEBIT: Final = """
SELECT m.move_id, m.order_no, m.product_id, m.amount_fen, d.price_fen, d.invests
FROM wealth_moves m LEFT JOIN debits d USING (order_no)
WHERE m.kind = 'subscribe' AND (d.order_no IS NULL OR NOT d.invests
    OR d.price_fen <> m.amount_fen OR d.product_id IS DISTINCT FROM m.product_id)
"""
_PARTS_UNLIKE_DEBIT: Final = """
SELECT e.entitlement_id, e.order_no, e.invests, d.invests AS order_invests
FROM entitlements e JOIN debits d USING (order_no) WHERE e.invests <> d.invests
"""
_INVESTED_TWICE: Final = """
SELECT order_no, count(*) AS subscriptions FROM wealth_moves
WHERE kind = 'subscribe' AND status <> 'failed' AND replaced_by IS NULL
GROUP BY order_no HAVING count(*) > 1
"""
_REDEEMED_UNLIKE_PART: Final = """
SELECT m.move_id, m.entitlement_id, m.status, m.amount_fen, e.settle_fen, e.part_fen
FROM wealth_moves m LEFT JOIN entitlements e USING (entitlement_id)
WHERE m.kind = 'redeem' AND (e.entitlement_id IS NULL OR NOT e.invests
    OR m.product_id <> e.product_id OR m.order_no <> e.order_no
    OR m.amount_fen IS DISTINCT FROM CASE WHEN e.used_at IS NOT NULL
        THEN least(e.settle_fen, e.part_fen)
        WHEN e.lapsed_at IS NOT NULL AND e.status <> 'forfeited' THEN e.part_fen END)
"""
_REDEEMED_UNINVESTED: Final = """
SELECT m.move_id, m.order_no, m.status,
    (SELECT string_agg(s.status, ', ') FROM wealth_moves s
    WHERE s.kind = 'subscribe' AND s.order_no = m.order_no) AS subscription
FROM wealth_moves m WHERE m.kind = 'redeem' AND NOT EXISTS (SELECT FROM wealth_moves s
    WHERE s.kind = 'subscribe' AND s.order_no = m.order_no AND s.status = 'done')
"""
_REDEEMED_TWICE: Final = """
SELECT entitlement_id, count(*) AS redemptions FROM wealth_moves
WHERE kind = 'redeem' AND status <> 'failed' AND replaced_by IS NULL
GROUP BY entitlement_id HAVING count(*) > 1
"""
_BOOKED: Final = """
WITH moved AS (
    SELECT product_id, coalesce(sum(amount_fen) FILTER (WHERE kind = 'subscribe'), 0)
        AS invested_fen,
        coalesce(sum(principal_fen) FILTER (WHERE kind <> 'subscribe'), 0) AS redeemed_fen
    FROM wealth_moves WHERE status = 'done' GROUP BY product_id
), booked AS (
    SELECT split_part(account, ':', 2) AS product_id, sum(debit_fen - credit_fen) AS ledger_fen
    FROM entries WHERE account LIKE 'wealth:%' GROUP BY 1
)
SELECT product_id, invested_fen, redeemed_fen, ledger_fen
FROM moved FULL JOIN booked USING (product_id)
WHERE coalesce(ledger_fen, 0) <> coalesce(invested_fen, 0) - coalesce(redeemed_fen, 0)
    OR (coalesce(redeemed_fen, 0) > coalesce(invested_fen, 0) AND NOT EXISTS
        (SELECT FROM wealth_moves m WHERE m.product_id = moved.product_id
            AND m.kind = 'subscribe' AND m.status IN ('requested', 'parked')))
"""
"""A liquidation may have taken along what is not known to be invested yet."""
_YIELD: Final = """
SELECT 'yield' AS account, ledger_fen, facts_fen FROM
    (SELECT coalesce(sum(credit_fen - debit_fen), 0) AS ledger_fen
     FROM entries WHERE account = 'yield') AS ledger,
    (SELECT coalesce(sum(yield_fen), 0) AS facts_fen
     FROM wealth_moves WHERE status = 'done') AS facts
WHERE ledger_fen <> facts_fen
"""
_ENDS: Final = """
SELECT product_id, max(expires_at) AS ends_at FROM entitlements WHERE invests GROUP BY product_id
"""
_UNREDEEMED: Final = f"""
WITH ends AS ({_ENDS})
SELECT e.entitlement_id, e.order_no, e.status, s.move_id AS invested_by
FROM entitlements e JOIN ends USING (product_id) JOIN wealth_moves s USING (order_no)
WHERE e.invests AND e.held_for IS NULL AND ends_at > now() + $1
    AND s.kind = 'subscribe' AND s.status = 'done' AND s.liquidated_by IS NULL
    AND s.replaced_by IS NULL AND CASE WHEN e.used_at IS NOT NULL
        THEN least(e.settle_fen, e.part_fen) > 0 AND e.expires_at > now() + $1
        ELSE e.lapsed_at IS NOT NULL AND e.part_fen > 0 AND e.status <> 'forfeited' END
    AND NOT EXISTS (SELECT FROM wealth_moves m
        WHERE m.kind = 'redeem' AND m.entitlement_id = e.entitlement_id)
    AND NOT EXISTS (SELECT FROM wealth_moves m
        WHERE m.kind = 'liquidate' AND m.product_id = e.product_id
            AND coalesce(m.finished_at, 'infinity') >= coalesce(e.used_at, e.lapsed_at))
"""
"""After its product's end, or while that is liquidated, a part comes out with all that is left."""
_LEFT_INSIDE: Final = f"""
WITH ends AS ({_ENDS}), inside AS (
    SELECT product_id, sum(amount_fen) AS invested_fen FROM wealth_moves
    WHERE kind = 'subscribe' AND status = 'done' AND liquidated_by IS NULL GROUP BY product_id
)
SELECT product_id, ends_at, invested_fen FROM inside JOIN ends USING (product_id)
WHERE ends_at < now() + $1 - interval '60 s'
    AND NOT EXISTS (SELECT FROM wealth_moves m WHERE m.product_id = inside.product_id
        AND m.replaced_by IS NULL AND (m.status = 'parked' AND m.kind IN ('redeem', 'liquidate')
            OR m.status = 'failed' AND m.kind = 'liquidate' AND EXISTS
                (SELECT FROM work_items item WHERE item.subject_id = m.move_id
                    AND (item.status = 'open'
                        OR item.resolved_at > now() + $1 - interval '60 s'))))
"""
"""What is stuck keeps others from starting; a refused one, as long as it is on the work list."""
_SUM_AFTER_END: Final = f"""
WITH ends AS ({_ENDS}), ledger AS (
    SELECT split_part(account, ':', 2) AS product_id, sum(debit_fen - credit_fen) AS left_fen
    FROM entries WHERE account LIKE 'wealth:%' GROUP BY 1
)
SELECT product_id, ends_at, left_fen FROM ledger JOIN ends USING (product_id)
WHERE left_fen <> 0 AND ends_at < now() + $1 - interval '60 s'
    AND NOT EXISTS (SELECT FROM wealth_moves m WHERE m.product_id = ledger.product_id
        AND m.replaced_by IS NULL AND (m.status = 'parked' OR m.kind = 'liquidate'
            AND m.status = 'failed'))
"""
_HELD_FOR_NOTHING: Final = f"""
WITH ends AS ({_ENDS})
SELECT e.entitlement_id, e.order_no, e.held_for, e.status
FROM entitlements e LEFT JOIN ends USING (product_id)
WHERE held_for IS NOT NULL AND (held_for = 'subscription'
    OR (held_for = 'redemption' AND NOT EXISTS (SELECT FROM wealth_moves m
        WHERE m.entitlement_id = e.entitlement_id AND m.kind = 'redeem' AND m.replaced_by IS NULL
            AND m.status IN ('requested', 'parked', 'failed')))
    OR (held_for = 'liquidation' AND NOT EXISTS (SELECT FROM wealth_moves m
        LEFT JOIN wealth_moves taken ON taken.move_id = m.liquidated_by
        WHERE m.order_no = e.order_no AND m.kind = 'subscribe' AND m.status = 'done'
            AND (taken.move_id IS NULL OR taken.finished_at > now() + $1 - interval '60 s')))
    OR (held_for = 'liquidation' AND ends_at > now() + $1
        AND NOT EXISTS (SELECT FROM wealth_moves m WHERE m.product_id = e.product_id
            AND m.kind = 'liquidate' AND m.status <> 'done' AND m.replaced_by IS NULL)
        AND NOT EXISTS (SELECT FROM entitlements later WHERE later.product_id = e.product_id
            AND later.issued_at > now() + $1 - interval '60 s')))
"""
"""A liquidation lets go on what waited within a minute, as does a sale that moves the end."""
_UNLISTED: Final = """
SELECT move_id, kind, product_id, status, reason FROM wealth_moves m
WHERE replaced_by IS NULL
    AND (status = 'parked' OR (status = 'failed' AND (kind = 'redeem' AND EXISTS
            (SELECT FROM entitlements e WHERE e.entitlement_id = m.entitlement_id
                AND held_for = 'redemption')
        OR kind = 'liquidate' AND EXISTS
            (SELECT FROM entitlements e WHERE e.product_id = m.product_id
                AND held_for = 'liquidation')
            AND NOT EXISTS (SELECT FROM wealth_moves later WHERE later.kind = 'liquidate'
                AND later.product_id = m.product_id AND later.move_id > m.move_id))))
    AND NOT EXISTS (SELECT FROM work_items
        WHERE subject_id = move_id AND work_items.status = 'open')
"""


_HELD: Final = """
WITH booked AS (
    SELECT split_part(account, ':', 2) AS product_id, sum(debit_fen - credit_fen) AS held_fen
    FROM entries WHERE account LIKE 'wealth:%' GROUP BY 1
), undecided AS (
    SELECT product_id, coalesce(sum(amount_fen) FILTER (WHERE kind = 'subscribe'), 0) AS in_fen,
        coalesce(sum(amount_fen) FILTER (WHERE kind = 'redeem'), 0) AS out_fen,
        bool_or(kind = 'liquidate') AS is_liquidated
    FROM wealth_moves WHERE status IN ('requested', 'parked') GROUP BY product_id
)
SELECT product_id, coalesce(held_fen, 0)::bigint AS held_fen,
    coalesce(held_fen, 0)::bigint + coalesce(in_fen, 0)::bigint AS most_fen,
    CASE WHEN is_liquidated THEN 0
        ELSE coalesce(held_fen, 0)::bigint - coalesce(out_fen, 0)::bigint END AS least_fen
FROM booked FULL JOIN undecided USING (product_id)
"""
_NOTHING_HELD: Final = {"held_fen": 0, "most_fen": 0, "least_fen": 0}


async def _positions_agree(view: View, tally: Tally) -> None:
    """What Huijinbao holds for each product is what the ledger says, but for what is undecided."""
    ours = {row["product_id"]: row async for row in view.rows(Query("settlement", _HELD))}
    theirs: defaultdict[str, int] = defaultdict(int)
    async for position in _positions(view):
        theirs[position["biz_no"]] += position["principal_fen"] + position["pending_in_fen"]
    for product_id in sorted(ours.keys() | theirs.keys()):
        tally.checked += 1
        here, there_fen = ours.get(product_id, _NOTHING_HELD), theirs[product_id]
        if not here["least_fen"] <= there_fen <= here["most_fen"]:
            facts = f"invested {here['held_fen']} fen, Huijinbao holds {there_fen}"
            tally.offend(product_id, facts)


async def _positions(view: View) -> AsyncIterator[Row]:
    url = f"{view.installation.url('huijinbao')}/admin/positions"
    after, limit = 0, 500
    while True:
        answer = await view.channels.get(url, params={"after": after, "limit": limit})
        page = answer.raise_for_status().json()["positions"]
        for position in page:
            yield position
        if len(page) < limit:
            return
        after = page[-1]["position_id"]


_SUBSCRIPTIONS: Final = "wealth_moves WHERE kind = 'subscribe'"
_REDEMPTIONS: Final = "wealth_moves WHERE kind = 'redeem'"

INVARIANTS: Final[Sequence[Invariant]] = (
    Invariant(
        "M11",
        "What is invested was paid, comes out once, and nothing stays inside after the end",
        [
            none_of("settlement", "debits WHERE invests", _UNINVESTED),
            none_of("settlement", _SUBSCRIPTIONS, _INVESTED_UNLIKE_DEBIT),
            none_of("settlement", "entitlements", _PARTS_UNLIKE_DEBIT),
            none_of("settlement", _SUBSCRIPTIONS, _INVESTED_TWICE),
            none_of("settlement", _REDEMPTIONS, _REDEEMED_UNLIKE_PART),
            none_of("settlement", _REDEMPTIONS, _REDEEMED_UNINVESTED),
            none_of("settlement", _REDEMPTIONS, _REDEEMED_TWICE),
            none_of("settlement", "entitlements WHERE invests", _UNREDEEMED, shifted=True),
            none_of("settlement", "wealth_moves", _BOOKED),
            none_of("settlement", "entries WHERE account = 'yield'", _YIELD),
            none_of("settlement", _SUBSCRIPTIONS, _LEFT_INSIDE, shifted=True),
            none_of("settlement", "wealth_moves", _SUM_AFTER_END, shifted=True),
            none_of("settlement", "entitlements WHERE invests", _HELD_FOR_NOTHING, shifted=True),
            none_of("settlement", "wealth_moves", _UNLISTED),
            compared(_MOVES, _judge_moved),
            _positions_agree,
        ],
    ),
)
