"""Events: none is lost, none takes effect twice, and only what is verified is believed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from shanmen.platform.checks.findings import Tally
from shanmen.platform.checks.invariants import Invariant, Probe, compared, none_of
from shanmen.platform.checks.view import Row, View, keyed
from shanmen.platform.services import SERVICES


async def _nothing_given_up(view: View, tally: Tally) -> None:
    tally.checked += len(view.dead_letters)
    for letter in view.dead_letters:
        tally.offend(letter.id, f"{letter.type} given up on in {letter.queue}: {letter.reason}")


def _everything_told(service: str) -> Probe:
    return none_of(
        service,
        "outbox",
        "SELECT event_id, type, subject, refusals FROM outbox WHERE refusals > 0",
    )


def _once(service: str) -> Probe:
    return none_of(
        service,
        "inbox",
        "SELECT event_id, consumer, count(*) AS times FROM inbox"
        " GROUP BY consumer, event_id HAVING count(*) > 1",
    )


def _judge_debit(_: str, rows: Mapping[str, Row | None]) -> Iterable[str]:
    order, operation, booked = rows["order"], rows["operation"], rows["booked"]
    succeeded = operation is not None and operation["status"] == "succeeded"
    if order is not None and order["debit_state"] == "succeeded" and not succeeded:
        yield f"{order['order_no']} is paid, the gateway's debit is not"
    is_orphan = booked is not None and booked["is_orphan"]
    if order is not None and order["debit_state"] != "succeeded" and succeeded and not is_orphan:
        yield f"{order['order_no']} has not heard that its debit succeeded"
    if order is not None and order["debit_state"] == "succeeded" and booked is None:
        yield f"{order['order_no']} is paid, settlement has no debit of it"
    if booked is not None and not succeeded:
        yield f"settlement booked it for {booked['order_no']}, the gateway's debit is not"


_DEBITS: Final = {
    "order": keyed(
        "orders",
        "SELECT debit_operation_id AS key, order_no, debit_state FROM orders"
        " WHERE debit_operation_id IS NOT NULL",
    ),
    "operation": keyed(
        "gateway-adapters",
        "SELECT operation_id AS key, status FROM operations WHERE kind = 'debit'",
    ),
    "booked": keyed(
        "settlement",
        "SELECT operation_id AS key, order_no, false AS is_orphan FROM debits UNION ALL"
        " SELECT operation_id, order_no, true FROM orphaned_debits",
    ),
}


def _judge_told(_: str, rows: Mapping[str, Row | None]) -> Iterable[str]:
    episode, message = rows["episode"], rows["message"]
    if message is None:
        yield "a shortage that nobody was told of"
    elif episode is None:
        yield f"{message['template']}: a message of no shortage"


def _told_once(episodes: str, owner: str, templates: Sequence[str]) -> Probe:
    """Every shortage has the one message with its number, and no such message is without one."""
    return compared(
        {
            "episode": keyed(owner, f"SELECT {episodes} AS key FROM shortages"),
            "message": keyed(
                "gateway-adapters",
                "SELECT sms_id AS key, template FROM messages WHERE template = ANY($1)",
                [templates],
            ),
        },
        _judge_told,
    )


_PLATFORM_SHORT: Final = ("payout_short", "refund_short", "subscribe_short")
_OPEN_TWICE: Final = """
SELECT {account} AS account, count(*) AS shortages FROM shortages WHERE ended_at IS NULL
GROUP BY {account} HAVING count(*) > 1
"""

INVARIANTS: Final[Sequence[Invariant]] = (
    Invariant(
        "E1",
        "Every event was told to and handled by everyone who must know",
        [
            _nothing_given_up,
            *(_everything_told(service.name) for service in SERVICES),
            compared(_DEBITS, _judge_debit),
        ],
    ),
    Invariant(
        "E2",
        "An event takes effect once per consumer",
        [
            *(_once(service.name) for service in SERVICES),
            none_of(
                "settlement",
                "postings",
                "SELECT key, count(*) AS times FROM postings GROUP BY key HAVING count(*) > 1",
            ),
        ],
    ),
    Invariant(
        "E5",
        "Only notifications about our own operations were believed, each once",
        [
            none_of(
                "gateway-adapters",
                "notifications WHERE believed",
                "SELECT n.id, n.number, n.channel, o.status FROM notifications n"
                " LEFT JOIN operations o ON o.operation_id = n.number"
                " WHERE n.believed AND (n.verdict <> 'hint' OR o.operation_id IS NULL"
                " OR o.channel <> n.channel)",
            ),
            none_of(
                "gateway-adapters",
                "notifications WHERE believed",
                "SELECT notification_id, channel, count(*) AS times FROM notifications"
                " WHERE believed GROUP BY channel, notification_id HAVING count(*) > 1",
            ),
        ],
    ),
    Invariant(
        "E6",
        "Each shortage is told once",
        [
            _told_once("shortage_id", "orders", ["payment_short"]),
            _told_once("'sms_' || shortage_id", "settlement", _PLATFORM_SHORT),
            none_of("orders", "shortages", _OPEN_TWICE.format(account="account_id")),
            none_of("settlement", "shortages", _OPEN_TWICE.format(account="channel")),
        ],
    ),
)
