"""Money that is not where the books say."""

from typing import Final

from shanmen.platform.testing.damages.damage import Damage

_COMPLETED: Final = "SELECT order_no FROM orders WHERE status = 'completed'"
_VISITED: Final = "SELECT entitlement_id FROM passes WHERE usage = 'used' LIMIT 1"
_SETTLED: Final = "SELECT entitlement_id FROM entitlements WHERE status = 'settled' LIMIT 1"
_PAYOUT: Final = "SELECT payout_id FROM payouts LIMIT 1"
_DEBIT: Final = "SELECT operation_id FROM operations WHERE kind = 'debit' LIMIT 1"
_SENT_PAYOUT: Final = "SELECT operation_id FROM operations WHERE kind = 'payout' LIMIT 1"
_BOOK: Final = """
INSERT INTO postings (key, kind, occurred_at) VALUES ('made-up', 'owner_in', now());
INSERT INTO entries (posting_id, account, debit_fen, credit_fen, occurred_at)
SELECT posting_id, account, debit_fen, credit_fen, occurred_at
FROM postings, (VALUES ('{debited}', {fen}::bigint, 0::bigint), ('{credited}', 0, {fen}))
    AS line (account, debit_fen, credit_fen) WHERE key = 'made-up'
"""

DAMAGES: Final = (
    Damage(
        "an entry of a posting is deleted",
        "M1",
        "settlement",
        "SELECT key FROM postings WHERE kind = 'payout' LIMIT 1",
        """
DELETE FROM entries USING postings p WHERE p.posting_id = entries.posting_id AND p.key =
    :found AND credit_fen > 0
""",
    ),
    Damage(
        "the guard of the ledger is switched off",
        "M1",
        "settlement",
        "SELECT 'entries_append_only'",
        "ALTER TABLE entries DISABLE TRIGGER entries_append_only",
    ),
    Damage(
        "money is booked that Alipay does not have",
        "M2",
        "settlement",
        "SELECT 'cash:alipay'",
        _BOOK.format(debited="cash:alipay", credited="owner", fen=500),
    ),
    Damage(
        "an operation that Alipay carried out is forgotten",
        "M3",
        "gateway-adapters",
        _SENT_PAYOUT,
        "DELETE FROM operations WHERE operation_id = :found",
    ),
    Damage(
        "an operation has another amount than Alipay's",
        "M3",
        "gateway-adapters",
        _DEBIT,
        "UPDATE operations SET amount_fen = amount_fen + 1 WHERE operation_id = :found",
    ),
    Damage(
        "an operation is taken for failed",
        "M3",
        "gateway-adapters",
        _SENT_PAYOUT,
        "UPDATE operations SET status = 'failed' WHERE operation_id = :found",
    ),
    Damage(
        "an operation paid another account",
        "M3",
        "gateway-adapters",
        _SENT_PAYOUT,
        "UPDATE operations SET account_id = 'acc_other' WHERE operation_id = :found",
    ),
    Damage(
        "an order is debited twice",
        "M4",
        "gateway-adapters",
        "SELECT business_ref FROM operations WHERE kind = 'debit' LIMIT 1",
        """
CREATE TEMP TABLE again AS SELECT * FROM operations WHERE business_ref = :found AND kind
    = 'debit';
UPDATE again SET operation_id = 'deb_again';
INSERT INTO operations SELECT * FROM again
""",
    ),
    Damage(
        "a ticket of a debited order is missing",
        "M5",
        "orders",
        _COMPLETED,
        """
DELETE FROM tickets WHERE ticket_no = (SELECT min(ticket_no) FROM tickets WHERE order_no
    = :found)
""",
    ),
    Damage(
        "an orphaned debit is not given back",
        "M5",
        "settlement",
        "SELECT 'deb_orphan'",
        """
INSERT INTO orphaned_debits (operation_id, order_no, distributor_id, account_id,
    channel, amount_fen, debited_at) VALUES (:found, 'ord_1', 'dst_1', 'acc_1',
    'alipay', 100, now())
""",
    ),
    Damage(
        "there are tickets, and the debit failed",
        "M6",
        "gateway-adapters",
        "SELECT business_ref FROM operations WHERE kind = 'debit' LIMIT 1",
        """
UPDATE operations SET status = 'failed' WHERE business_ref = :found AND kind = 'debit'
""",
    ),
    Damage(
        "a payout's lines do not add up",
        "M7",
        "settlement",
        _PAYOUT,
        "UPDATE payout_lines SET amount_fen = amount_fen - 1 WHERE payout_id = :found",
    ),
    Damage(
        "a visit is paid out twice",
        "M7",
        "settlement",
        _SETTLED,
        """
INSERT INTO payouts SELECT 'pay_again', p.spot_id, p.account_id, p.channel,
    p.amount_fen, 'paid', NULL, p.requested_at, p.finished_at FROM payouts p JOIN
    payout_lines USING (payout_id) WHERE entitlement_id = :found;
INSERT INTO payout_lines (payout_id, entitlement_id, amount_fen) SELECT 'pay_again',
    entitlement_id, amount_fen FROM payout_lines WHERE entitlement_id = :found
""",
        unchecked="payout_lines",
    ),
    Damage(
        "what nobody visited is paid out",
        "M7",
        "verification",
        _VISITED,
        "UPDATE passes SET usage = 'unused' WHERE entitlement_id = :found",
        unchecked="passes",
    ),
    Damage(
        "an entitlement is settled, and its payout is not paid",
        "M7",
        "settlement",
        _SETTLED,
        """
UPDATE payouts SET status = 'requested', finished_at = NULL WHERE payout_id = (SELECT
    payout_id FROM entitlements WHERE entitlement_id = :found)
""",
    ),
    Damage(
        "a visit that was paid out is refunded as well",
        "M8",
        "settlement",
        _SETTLED,
        """
INSERT INTO refunds (refund_id, entitlement_id, order_no, distributor_id,
    original_operation_id, account_id, channel, part_fen, fee_fen, amount_fen, status,
    requested_at, finished_at) SELECT 'ref_1', entitlement_id, order_no, distributor_id,
    'deb_1', 'acc_1', 'alipay', part_fen, 0, part_fen, 'refunded', now(), now() FROM
    entitlements WHERE entitlement_id = :found
""",
    ),
    Damage(
        "more is refunded than was debited",
        "M8",
        "settlement",
        "SELECT operation_id FROM debits LIMIT 1",
        """
INSERT INTO refunds (refund_id, order_no, distributor_id, original_operation_id,
    account_id, channel, part_fen, fee_fen, amount_fen, status, requested_at,
    finished_at) SELECT 'ref_1', order_no, distributor_id, operation_id, account_id,
    channel, price_fen + 1, fee_fen, price_fen + fee_fen + 1, 'refunded', now(), now()
    FROM debits WHERE operation_id = :found
""",
    ),
    Damage(
        "what was given back has no refund",
        "M8",
        "settlement",
        "SELECT entitlement_id FROM entitlements WHERE status = 'refunded' LIMIT 1",
        "DELETE FROM refunds WHERE entitlement_id = :found",
    ),
    Damage(
        "what was given back was visited, too",
        "M8",
        "verification",
        "SELECT entitlement_id FROM passes WHERE usage = 'voided' LIMIT 1",
        "UPDATE passes SET usage = 'used' WHERE entitlement_id = :found",
        unchecked="passes",
    ),
    Damage(
        "a refund was not carried out",
        "M8",
        "gateway-adapters",
        "SELECT operation_id FROM operations WHERE kind = 'refund' LIMIT 1",
        "UPDATE operations SET status = 'failed' WHERE operation_id = :found",
    ),
    Damage(
        "an order's parts are more than its price",
        "M9",
        "settlement",
        "SELECT order_no FROM debits LIMIT 1",
        "UPDATE entitlements SET part_fen = part_fen + 1 WHERE order_no = :found",
    ),
    Damage(
        "the ledger owes a spot what it did not earn",
        "M9",
        "settlement",
        "SELECT 'spt_made_up'",
        _BOOK.format(debited="owner", credited="payable:spt_made_up", fen=7),
    ),
    Damage(
        "the ledger's cash is below zero",
        "M10",
        "settlement",
        "SELECT 'cash:alipay'",
        _BOOK.format(debited="owner", credited="cash:alipay", fen=10**12),
    ),
)
