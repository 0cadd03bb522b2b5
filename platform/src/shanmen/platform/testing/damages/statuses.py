"""Statuses, stock, admissions, events and records that contradict each other."""

from typing import Final

from shanmen.platform.testing.damages.damage import Damage

_COMPLETED: Final = "SELECT order_no FROM orders WHERE status = 'completed'"
_VISITED: Final = "SELECT entitlement_id FROM passes WHERE usage = 'used' LIMIT 1"
_PAYOUT: Final = "SELECT payout_id FROM payouts LIMIT 1"
_SENT_PAYOUT: Final = "SELECT operation_id FROM operations WHERE kind = 'payout' LIMIT 1"
_TELL: Final = """
INSERT INTO outbox (event_id, type, source, subject, time, data, trace)
VALUES (:found, 't', 's', 's', now(), '{data}', '{{}}')
"""

DAMAGES: Final = (
    Damage(
        "an order's status is not what its facts say",
        "S1",
        "orders",
        _COMPLETED,
        "UPDATE orders SET status = 'issued' WHERE order_no = :found",
    ),
    Damage(
        "a visited order is closed as refunded",
        "S2",
        "orders",
        _COMPLETED,
        "UPDATE orders SET status = 'closed_refunded' WHERE order_no = :found",
    ),
    Damage(
        "orders believes something else than settlement",
        "S3",
        "orders",
        "SELECT entitlement_id FROM entitlements WHERE settlement = 'settled' LIMIT 1",
        "UPDATE entitlements SET settlement = 'pending' WHERE entitlement_id = :found",
    ),
    Damage(
        "an impossible pair of facts",
        "S3",
        "verification",
        _VISITED,
        "UPDATE passes SET usage = 'expired' WHERE entitlement_id = :found",
        unchecked="passes",
    ),
    Damage(
        "a change of status was left out of the timeline",
        "S4",
        "orders",
        _COMPLETED,
        "DELETE FROM order_timeline WHERE order_no = :found AND after = 'paid'",
    ),
    Damage(
        "a forbidden change of status",
        "S4",
        "orders",
        "SELECT order_no FROM orders WHERE status = 'closed_unpaid' LIMIT 1",
        """
INSERT INTO order_timeline (order_no, at, kind, before, after, cause, actor) VALUES
    (:found, now(), 'order', 'closed_unpaid', 'issued', 'a whim', 'nobody')
""",
    ),
    Damage(
        "an order is stuck between payment and tickets",
        "S5",
        "orders",
        _COMPLETED,
        "UPDATE orders SET status = 'paid' WHERE order_no = :found",
    ),
    Damage(
        "an operation is parked, and nobody is asked to look",
        "S5",
        "gateway-adapters",
        _SENT_PAYOUT,
        """
UPDATE operations SET status = 'parked', outcome = 'unknown' WHERE operation_id = :found
""",
    ),
    Damage(
        "a payout is parked without a work item",
        "S5",
        "settlement",
        _PAYOUT,
        """
UPDATE payouts SET status = 'parked', reason = 'short', finished_at = NULL WHERE
    payout_id = :found
""",
    ),
    Damage(
        "a work item was closed, and its payout is parked still",
        "S5",
        "settlement",
        "SELECT operation_id FROM work_items WHERE kind = 'payout_short'",
        """
UPDATE work_items SET status = 'resolved', resolution = 'so be it', resolved_at = now()
WHERE operation_id = :found
""",
    ),
    Damage(
        "a work item with nothing behind it",
        "S5",
        "settlement",
        "SELECT 'pay_gone'",
        """
INSERT INTO work_items (item_id, family, kind, subject_id, operation_id, channel,
    account_id, amount_fen, code, reason, since, opened_at, updated_at) VALUES ('wrk_1',
    'payout', 'payout_short', :found, :found, 'alipay', 'acc_1', 1, '', '', now(),
    now(), now())
""",
    ),
    Damage(
        "money moved under a dead number, and nobody is asked to explain it",
        "S5",
        "settlement",
        "SELECT 'pay_dead'",
        """
INSERT INTO postings (key, kind, occurred_at)
VALUES ('unexplained:' || :found, 'unexplained', now())
""",
    ),
    Damage(
        "a pass outlived its time",
        "S5",
        "verification",
        "SELECT entitlement_id FROM passes WHERE usage = 'unused' LIMIT 1",
        """
UPDATE passes SET valid_from = now() - interval '3 d', valid_until = now() - interval '2
    d', expires_at = now() - interval '1 d' WHERE entitlement_id = :found
""",
    ),
    Damage(
        "an event is still waiting to be told",
        "S5",
        "catalog",
        "SELECT 'nobody'",
        _TELL.format(data="{}"),
        row="still on its way",
    ),
    Damage(
        "an order's fee is not the one that it was placed at",
        "S6",
        "orders",
        _COMPLETED,
        "UPDATE orders SET fee_fen = fee_fen + 1 WHERE order_no = :found",
    ),
    Damage(
        "an order's debit is another distributor's",
        "T1",
        "settlement",
        "SELECT order_no FROM debits LIMIT 1",
        "UPDATE debits SET distributor_id = 'dst_other' WHERE order_no = :found",
    ),
    Damage(
        "a stock counter is off",
        "K1",
        "catalog",
        "SELECT stock_id FROM stock WHERE sold > 0 LIMIT 1",
        "UPDATE stock SET sold = sold + 1 WHERE stock_id = :found",
    ),
    Damage(
        "stock of a sold order went back into the pool",
        "K1",
        "catalog",
        "SELECT order_no FROM reservations WHERE status = 'sold' LIMIT 1",
        "UPDATE reservations SET status = 'released' WHERE order_no = :found",
    ),
    Damage(
        "a ticket let two visitors in",
        "K2",
        "verification",
        _VISITED,
        """
CREATE TEMP TABLE again AS SELECT * FROM scans WHERE entitlement_id = :found AND verdict
    = 'admitted';
UPDATE again SET scan_id = 'scn_again';
INSERT INTO scans SELECT * FROM again
""",
        unchecked="scans",
    ),
    Damage(
        "a visitor was let in on a day that the ticket is not for",
        "K3",
        "verification",
        "SELECT scan_id FROM scans WHERE verdict = 'admitted' LIMIT 1",
        "UPDATE scans SET scanned_at = scanned_at - interval '40 d' WHERE scan_id = :found",
    ),
    Damage(
        "a gate knows a pass that was never sold",
        "K3",
        "verification",
        "SELECT 'ent_made_up'",
        """
INSERT INTO passes (entitlement_id, ticket_no, order_no, spot_id, activated, valid_from,
    valid_until, expires_at) VALUES (:found, 'T1', 'ord_1', 'spt_1', true, now(), now()
    + interval '1 d', now() + interval '1 d')
""",
    ),
    Damage(
        "a pass names a scan that is not on record",
        "K4",
        "verification",
        _VISITED,
        "UPDATE passes SET used_scan_id = 'scn_none' WHERE entitlement_id = :found",
    ),
    Damage(
        "settlement never heard of a payment",
        "E1",
        "settlement",
        "SELECT operation_id FROM debits LIMIT 1",
        "DELETE FROM debits WHERE operation_id = :found",
    ),
    Damage(
        "an event was given up on",
        "E1",
        "events",
        "SELECT 'evt_lost'",
        """
INSERT INTO deliveries (queue, message, parked_at) VALUES ('orders.events',
    jsonb_build_object('id', :found::text, 'type', 't', 'subject', 's'), now())
""",
    ),
    Damage(
        "an event took effect twice",
        "E2",
        "orders",
        "SELECT event_id FROM inbox LIMIT 1",
        "INSERT INTO inbox SELECT * FROM inbox WHERE event_id = :found",
        unchecked="inbox",
    ),
    Damage(
        "a notification about nothing of ours was believed",
        "E5",
        "gateway-adapters",
        "SELECT '4711'",
        """
INSERT INTO notifications (id, channel, notification_id, number, believed, verdict)
    OVERRIDING SYSTEM VALUE VALUES (:found::bigint, 'alipay', 'n', 'no', true, 'hint')
""",
    ),
    Damage(
        "a shortage was told twice",
        "E6",
        "gateway-adapters",
        "SELECT 'sms_again'",
        """
CREATE TEMP TABLE again AS SELECT * FROM messages WHERE template = 'payout_short';
UPDATE again SET sms_id = :found;
INSERT INTO messages SELECT * FROM again
""",
    ),
    Damage(
        "nobody was told of a shortage",
        "E6",
        "settlement",
        "SELECT 'sms_shg_1'",
        """
INSERT INTO shortages (shortage_id, channel, began_at) VALUES (substr(:found, 5),
    'huijinbao', now())
""",
        unchecked="shortages",
    ),
    Damage(
        "a row of the audit trail was made up",
        "A1",
        "settlement",
        "SELECT 'nobody'",
        """
INSERT INTO audit SELECT coalesce(max(seq), 0) + 1, now(), :found, 'a', 's', '{}',
    repeat('1', 64), repeat('2', 64) FROM audit
""",
        row="row ",
    ),
    Damage(
        "money was moved by one person where two are asked for",
        "A2",
        "settlement",
        "SELECT 'act_1'",
        """
INSERT INTO manual_actions (action_id, action, subject_id, amount_fen, channel,
    direction, note, requested_by, requested_at, threshold_fen, status, executed_at)
    VALUES (:found, 'top_up', 'r1', 900000, 'alipay', 'in', '', 'li', now(), 500000,
    'executed', now())
""",
        unchecked="manual_actions",
    ),
    Damage(
        "an event carries an account number",
        "P1",
        "settlement",
        "SELECT 'evt_leak'",
        _TELL.format(data='{"to": "2088000000000201"}'),
    ),
    Damage(
        "an event carries an identity number",
        "P1",
        "orders",
        "SELECT 'evt_leak'",
        _TELL.format(data='{"id": "11010519491231002X"}'),
    ),
)
