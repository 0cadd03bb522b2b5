"""The ledger, payouts and refunds: no fen is lost, and none is paid or given back twice."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from shanmen.platform.checks.invariants import Invariant, compared, none_of
from shanmen.platform.checks.view import Query, Row, keyed

_PAID_BY: Final[Mapping[str, str]] = {
    "requested": "open",
    "paid": "succeeded",
    "refunded": "succeeded",
    "parked": "parked",
    "failed": "failed",
}
"""The status of the operation behind a payout or a refund of each status."""


def _judge_carried_out(_: str, rows: Mapping[str, Row | None]) -> Iterable[str]:
    wanted, operation = rows["wanted"], rows["operation"]
    if wanted is None or operation is None:
        yield "no operation at the gateway" if wanted else "nobody wants this operation"
        return
    if operation["status"] != _PAID_BY[wanted["status"]]:
        yield f"{wanted['status']} here, {operation['status']} at the gateway"
    if operation["amount_fen"] != wanted["amount_fen"]:
        yield f"{wanted['amount_fen']} fen here, {operation['amount_fen']} at the gateway"
    if operation["account_id"] != wanted["account_id"]:
        yield f"to {wanted['account_id']} here, {operation['account_id']} at the gateway"


def _operations(kind: str) -> Query:
    return keyed(
        "gateway-adapters",
        "SELECT operation_id AS key, status, amount_fen, account_id FROM operations"
        " WHERE kind = $1",
        [kind],
    )


def _wanted(table: str, number: str) -> Query:
    """Payouts or refunds; one that was dead, and moved after all, is in suspense as paid."""
    return keyed(
        "settlement",
        f"SELECT {number} AS key, amount_fen, account_id, CASE WHEN EXISTS"
        f" (SELECT FROM postings WHERE postings.key = 'unexplained:' || {number})"
        f" THEN 'paid' ELSE status END AS status FROM {table} WHERE amount_fen > 0",
    )


def _judge_admitted(_: str, rows: Mapping[str, Row | None]) -> Iterable[str]:
    money, usage = rows["money"], rows["usage"]
    if money is None or usage is None:
        return  # S3 names it
    if money["is_used"] != (usage["usage"] == "used"):
        yield f"usage {usage['usage']}, settlement took it for {money['is_used'] and 'used'}"
    if money["is_paid"] and usage["usage"] != "used":
        yield f"paid out, usage {usage['usage']}"


def _judge_given_back(_: str, rows: Mapping[str, Row | None]) -> Iterable[str]:
    money, usage = rows["money"], rows["usage"]
    if money is None or usage is None:
        return
    over = {"refunded": {"expired", "voided"}, "refund_failed": {"expired", "voided"}}
    if usage["usage"] not in over.get(money["status"], {usage["usage"]}):
        yield f"{money['status']}, usage {usage['usage']}"


_MONEY_AND_USAGE: Final = {
    "money": keyed(
        "settlement",
        "SELECT entitlement_id AS key, status, used_at IS NOT NULL AS is_used,"
        " EXISTS (SELECT FROM payout_lines l JOIN payouts p USING (payout_id)"
        " WHERE l.entitlement_id = e.entitlement_id AND p.status = 'paid') AS is_paid"
        " FROM entitlements e",
    ),
    "usage": keyed("verification", "SELECT entitlement_id AS key, usage FROM passes"),
}

_UNBALANCED: Final = """
SELECT p.key, coalesce(sum(e.debit_fen), 0) AS debit_fen, coalesce(sum(e.credit_fen), 0)
    AS credit_fen FROM postings p LEFT JOIN entries e USING (posting_id)
GROUP BY p.posting_id
HAVING coalesce(sum(e.debit_fen), 0) <> coalesce(sum(e.credit_fen), 0) OR count(e.account) < 2
"""
_GUARDS: Final = "(VALUES ('entries_balanced'), ('entries_append_only'), ('postings_append_only'))"
_OFF_GUARD: Final = f"""
SELECT name, 'is not switched on' AS trigger FROM {_GUARDS} AS guard (name)
WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = name AND tgenabled IN ('O', 'A'))
"""
_LINES: Final = """
SELECT payout_id, amount_fen, lines_fen FROM (
    SELECT p.payout_id, p.amount_fen, coalesce(sum(l.amount_fen), 0) AS lines_fen
    FROM payouts p LEFT JOIN payout_lines l USING (payout_id) GROUP BY p.payout_id
) AS added WHERE amount_fen <> lines_fen
"""
_EACH_LINE: Final = """
SELECT l.entitlement_id, l.payout_id, l.amount_fen, e.settle_fen, e.settlement_fee_fen, e.status
FROM payout_lines l LEFT JOIN entitlements e USING (entitlement_id)
LEFT JOIN payouts p ON p.payout_id = l.payout_id
WHERE e.used_at IS NULL OR l.amount_fen <> e.settle_fen - e.settlement_fee_fen
    OR p.spot_id IS DISTINCT FROM e.spot_id
"""
_PAID_TWICE: Final = """
SELECT entitlement_id, count(*) AS payouts FROM payout_lines JOIN payouts USING (payout_id)
WHERE status <> 'failed' GROUP BY entitlement_id HAVING count(*) > 1
"""
_SETTLED_UNPAID: Final = """
SELECT e.entitlement_id, e.payout_id, p.status AS payout FROM entitlements e
LEFT JOIN payouts p USING (payout_id)
WHERE e.status = 'settled' AND e.settle_fen > e.settlement_fee_fen
    AND p.status IS DISTINCT FROM 'paid' AND NOT EXISTS
        (SELECT FROM payout_lines l JOIN postings ON key = 'payout_outside:' || l.payout_id
        WHERE l.entitlement_id = e.entitlement_id)
"""
_LEAST_FEN: Final = 10
"""What no channel asks for more than to pay it out at once; less may wait for the next visit."""
_FORGOTTEN: Final = f"""
SELECT min(entitlement_id) AS first, spot_id, account_id, count(*) AS visits,
    sum(settle_fen - settlement_fee_fen) AS unpaid_fen
FROM entitlements WHERE used_at IS NOT NULL AND status <> 'settled' AND payout_id IS NULL
    AND held_for IS NULL
GROUP BY spot_id, account_id HAVING sum(settle_fen - settlement_fee_fen) >= {_LEAST_FEN}
"""
IS_GIVEN_BACK: Final = """(r.status = 'refunded' OR EXISTS
    (SELECT FROM postings WHERE key = 'refund_outside:' || r.refund_id))"""
_REFUNDED_TOO_MUCH: Final = """
SELECT r.original_operation_id AS operation_id, sum(r.amount_fen) AS refunded_fen,
    coalesce(max(d.price_fen + d.fee_fen), max(o.amount_fen), 0) AS debited_fen
FROM refunds r LEFT JOIN debits d ON d.operation_id = r.original_operation_id
LEFT JOIN orphaned_debits o ON o.operation_id = r.original_operation_id
WHERE r.live GROUP BY r.original_operation_id
HAVING sum(r.amount_fen) > coalesce(max(d.price_fen + d.fee_fen), max(o.amount_fen), 0)
"""
_REFUND_UNLIKE_ENTITLEMENT: Final = f"""
SELECT entitlement_id, status, part_fen, refunds, refunded_fen FROM (
    SELECT e.entitlement_id, e.status, e.part_fen, count(r.refund_id) AS refunds,
        sum(r.part_fen) AS refunded_fen, e.used_at IS NOT NULL OR e.payout_id IS NOT NULL AS used
    FROM entitlements e LEFT JOIN refunds r
        ON r.entitlement_id = e.entitlement_id AND {IS_GIVEN_BACK}
    GROUP BY e.entitlement_id
) AS counted
WHERE refunds <> CASE status WHEN 'refunded' THEN 1 ELSE 0 END
    OR (refunds > 0 AND (used OR refunded_fen <> part_fen))
"""
_CUSTODY: Final = """
WITH booked AS (
    SELECT split_part(account, ':', 2) AS order_no, sum(credit_fen - debit_fen) AS held_fen
    FROM entries WHERE account LIKE 'custody:%' GROUP BY 1
), parts AS (
    SELECT order_no, sum(part_fen) AS parts_fen, coalesce(sum(part_fen) FILTER (
        WHERE used_at IS NULL AND status NOT IN ('refunded', 'forfeited')), 0) AS open_fen
    FROM entitlements GROUP BY order_no
), orphans AS (
    SELECT order_no, sum(amount_fen) AS orphaned_fen
    FROM orphaned_debits WHERE refunded_at IS NULL GROUP BY order_no
)
SELECT order_no, price_fen, parts_fen, open_fen, orphaned_fen, held_fen
FROM debits FULL JOIN parts USING (order_no) FULL JOIN orphans USING (order_no)
    FULL JOIN booked USING (order_no)
WHERE parts_fen <> price_fen OR (parts_fen IS NOT NULL AND price_fen IS NULL)
    OR coalesce(held_fen, 0)
        <> coalesce(open_fen, price_fen, 0) + coalesce(orphaned_fen, 0)
"""
_PAYABLE: Final = """
WITH owed AS (
    SELECT split_part(account, ':', 2) AS spot_id, sum(credit_fen - debit_fen) AS ledger_fen
    FROM entries WHERE account LIKE 'payable:%' GROUP BY 1
), earned AS (
    SELECT spot_id, sum(settle_fen - settlement_fee_fen) FILTER (
        WHERE used_at IS NOT NULL AND status <> 'settled') AS unpaid_fen
    FROM entitlements GROUP BY spot_id
)
SELECT spot_id, coalesce(ledger_fen, 0) AS ledger_fen, coalesce(unpaid_fen, 0) AS unpaid_fen
FROM owed FULL JOIN earned USING (spot_id)
WHERE coalesce(ledger_fen, 0) <> coalesce(unpaid_fen, 0)
"""
_MARGIN: Final = """
SELECT 'margin' AS account, ledger_fen, facts_fen FROM
    (SELECT coalesce(sum(credit_fen - debit_fen), 0) AS ledger_fen
     FROM entries JOIN postings USING (posting_id)
     WHERE account = 'margin' AND kind <> 'clearing') AS ledger,
    (SELECT coalesce(sum(CASE WHEN used_at IS NOT NULL THEN part_fen - settle_fen
        WHEN status = 'forfeited' THEN part_fen ELSE 0 END), 0) AS facts_fen
     FROM entitlements) AS facts
WHERE ledger_fen <> facts_fen
"""

_FEES: Final = f"""
SELECT 'fees' AS account, ledger_fen, facts_fen FROM
    (SELECT coalesce(sum(credit_fen - debit_fen), 0) AS ledger_fen
     FROM entries JOIN postings USING (posting_id)
     WHERE account = 'fees' AND kind <> 'clearing') AS ledger,
    (SELECT (SELECT coalesce(sum(fee_fen), 0) FROM debits)
        + (SELECT coalesce(sum(settlement_fee_fen), 0) FROM entitlements WHERE used_at IS NOT NULL)
        - (SELECT coalesce(sum(r.fee_fen), 0) FROM refunds r WHERE {IS_GIVEN_BACK}) AS facts_fen
    ) AS facts
WHERE ledger_fen <> facts_fen
"""


INVARIANTS: Final[Sequence[Invariant]] = (
    Invariant(
        "M1",
        "Every posting balances, and the ledger can only be added to",
        [
            none_of("settlement", "postings", _UNBALANCED),
            none_of("settlement", f"{_GUARDS} AS guard", _OFF_GUARD),
        ],
    ),
    Invariant(
        "M7",
        "A visit is paid out once, what it earned, and only a visit is",
        [
            none_of("settlement", "payouts", _LINES),
            none_of("settlement", "payout_lines", _EACH_LINE),
            none_of("settlement", "payout_lines", _PAID_TWICE),
            none_of("settlement", "entitlements WHERE status = 'settled'", _SETTLED_UNPAID),
            none_of("settlement", "entitlements WHERE used_at IS NOT NULL", _FORGOTTEN),
            compared(
                {"wanted": _wanted("payouts", "payout_id"), "operation": _operations("payout")},
                _judge_carried_out,
            ),
            compared(_MONEY_AND_USAGE, _judge_admitted),
        ],
    ),
    Invariant(
        "M8",
        "Nothing is refunded twice, or both refunded and used or paid out",
        [
            none_of("settlement", "refunds", _REFUNDED_TOO_MUCH),
            none_of("settlement", "entitlements", _REFUND_UNLIKE_ENTITLEMENT),
            compared(
                {"wanted": _wanted("refunds", "refund_id"), "operation": _operations("refund")},
                _judge_carried_out,
            ),
            compared(_MONEY_AND_USAGE, _judge_given_back),
        ],
    ),
    Invariant(
        "M9",
        "What an order paid is kept, paid out, refunded or earned, to the fen",
        [
            none_of("settlement", "debits", _CUSTODY),
            none_of("settlement", "entries WHERE account LIKE 'payable:%'", _PAYABLE),
            none_of("settlement", "entries WHERE account = 'margin'", _MARGIN),
            none_of("settlement", "entries WHERE account = 'fees'", _FEES),
        ],
    ),
)
