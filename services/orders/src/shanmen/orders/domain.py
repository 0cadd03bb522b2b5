"""Order statuses, and the two views that are derived from the facts of other services.

`OrderStatus` and `DebitState` are written here. `Usage` is written by verification and
`Settlement` by settlement; orders keeps a projection of both and derives from it what people see.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shanmen.common.statemachine import Machine, table


class OrderStatus(StrEnum):
    """订单状态."""

    AWAITING_PAYMENT = "awaiting_payment"
    """等待支付: placed, stock reserved."""
    CLOSED_UNPAID = "closed_unpaid"
    """交易关闭1: deadline passed or cancelled, with no debit outstanding."""
    PAID = "paid"
    """支付成功: debit succeeded."""
    ISSUED = "issued"
    """出票成功: every ticket has a number."""
    COMPLETED = "completed"
    """交易成功: visited, or partly visited and the rest over."""
    CLOSED_REFUNDED = "closed_refunded"
    """交易关闭2: everything was refunded."""


ORDER: Final = Machine(
    "order",
    OrderStatus.AWAITING_PAYMENT,
    table(
        [
            (OrderStatus.AWAITING_PAYMENT, [OrderStatus.CLOSED_UNPAID, OrderStatus.PAID]),
            (OrderStatus.CLOSED_UNPAID, []),
            (OrderStatus.PAID, [OrderStatus.ISSUED]),
            (OrderStatus.ISSUED, [OrderStatus.COMPLETED, OrderStatus.CLOSED_REFUNDED]),
            (OrderStatus.COMPLETED, []),
            (OrderStatus.CLOSED_REFUNDED, []),
        ]
    ),
)


class DebitState(StrEnum):
    """How far the debit of an order is (扣款)."""

    NONE = "none"
    """未扣款: payment was never asked for."""
    REQUESTED = "requested"
    """扣款中: outcome unknown; the order can be neither closed nor debited anew."""
    SHORT_OF_FUNDS = "short_of_funds"
    """余额不足: waits for the distributor to top up and ask again, with the same number."""
    STUCK = "stuck"
    """待人工处理: needs a person; it may still have happened."""
    REFUSED = "refused"
    """扣款失败: certain never to happen under this number; paying again takes a new one.

    Channels have been wrong about that: a late success is taken, or refunded in full.
    """
    SUCCEEDED = "succeeded"
    """扣款成功."""


DEBIT: Final = Machine(
    "debit",
    DebitState.NONE,
    table(
        [
            (DebitState.NONE, [DebitState.REQUESTED]),
            (
                DebitState.REQUESTED,
                [
                    *(DebitState.SHORT_OF_FUNDS, DebitState.STUCK),
                    *(DebitState.REFUSED, DebitState.SUCCEEDED),
                ],
            ),
            (
                DebitState.SHORT_OF_FUNDS,
                [
                    *(DebitState.REQUESTED, DebitState.STUCK),
                    *(DebitState.REFUSED, DebitState.SUCCEEDED),
                ],
            ),
            (
                DebitState.STUCK,
                [
                    *(DebitState.REQUESTED, DebitState.SHORT_OF_FUNDS),
                    *(DebitState.REFUSED, DebitState.SUCCEEDED),
                ],
            ),
            (DebitState.REFUSED, [DebitState.REQUESTED, DebitState.SUCCEEDED]),
            (DebitState.SUCCEEDED, []),
        ]
    ),
)

CLOSABLE_DEBITS: Final = frozenset({DebitState.NONE, DebitState.REFUSED})
"""For all that is known no money has moved, nor will: the order may be closed unpaid."""

PARKED_DEBITS: Final = frozenset({DebitState.SHORT_OF_FUNDS, DebitState.STUCK})
"""Nothing happens by itself any more: past the deadline, the channel is asked to cancel."""

OUTSTANDING_DEBITS: Final = PARKED_DEBITS | {DebitState.REQUESTED}
"""The money may have moved: only the channel's certain answer closes the order."""


class DebitSuccess(StrEnum):
    """What a debit's success means to its order when it is heard of."""

    PAYS = "pays"
    """The order takes the money, however late or after whatever refusal it comes."""
    REPEATS = "repeats"
    """The order has taken it before."""
    ORPHANS = "orphans"
    """No order can take it: it goes back in full."""


class Usage(StrEnum):
    """Whether a right to enter was used; written by verification."""

    UNUSED = "unused"
    """未使用."""
    USED = "used"
    """已使用."""
    EXPIRED = "expired"
    """已过期."""
    VOIDED = "voided"
    """作废: refunded before any visit."""


class Settlement(StrEnum):
    """Where an entitlement's money is; written by settlement."""

    PENDING = "pending"
    """待处理: with the platform."""
    SETTLED = "settled"
    """已结算: paid to the spot."""
    SETTLE_FAILED = "settle_failed"
    """结算失败."""
    REFUNDED = "refunded"
    """已退款: back the way it came."""
    REFUND_FAILED = "refund_failed"
    """退款失败."""
    FORFEITED = "forfeited"
    """无须退款: expired, and the product refunds nothing."""


class Shown(StrEnum):
    """景区状态: what people see of one ticket's right to enter one spot."""

    AWAITING_ACTIVATION = "awaiting_activation"
    """待激活."""
    AWAITING_VISIT = "awaiting_visit"
    """待游玩."""
    VISITED = "visited"
    """已游玩."""
    AWAITING_SETTLEMENT = "awaiting_settlement"
    """待结算."""
    SETTLED = "settled"
    """已结算."""
    LAPSED = "lapsed"
    """已失效."""
    AWAITING_REFUND = "awaiting_refund"
    """待退款."""
    REFUNDED = "refunded"
    """已退款."""
    FORFEITED = "forfeited"
    """无须退款."""


class RefundStatus(StrEnum):
    """退款状态 of an order."""

    NONE = "none"
    """无退款: nothing was refunded."""
    REFUND_PENDING = "refund_pending"
    """退款待处理."""
    PARTIALLY_REFUNDED = "partially_refunded"
    """部分退款成功."""
    REFUNDED = "refunded"
    """退款成功."""


class Notice(StrEnum):
    """What a distributor is told of its orders, by webhook."""

    ORDER_ISSUED = "order.issued"
    ORDER_CLOSED = "order.closed"
    ORDER_PAYMENT_SHORT = "order.payment_short"
    ORDER_COMPLETED = "order.completed"
    ORDER_REFUNDED = "order.refunded"
    ENTITLEMENT_USED = "entitlement.used"
    ENTITLEMENT_REFUNDED = "entitlement.refunded"
    ENTITLEMENT_REFUND_FAILED = "entitlement.refund_failed"


class DeliveryStatus(StrEnum):
    """Whether an endpoint has taken a notice (通知推送)."""

    PENDING = "pending"
    """待推送: due, or waiting for its next attempt or for the order's notice before it."""
    DELIVERED = "delivered"
    """推送成功: the endpoint answered 2xx."""
    GIVEN_UP = "given_up"
    """放弃推送: refused for too long, or the endpoint is gone; it can be replayed."""


DELIVERY: Final = Machine(
    "delivery",
    DeliveryStatus.PENDING,
    table(
        [
            (DeliveryStatus.PENDING, [DeliveryStatus.DELIVERED, DeliveryStatus.GIVEN_UP]),
            (DeliveryStatus.DELIVERED, []),
            (DeliveryStatus.GIVEN_UP, []),
        ]
    ),
)

_RETRY_DELAYS_S: Final = (5, 30, 120, 600, 1800, 3600, 7200, 14_400)


def retry_delay_s(attempts: int) -> int:
    """Seconds after the given number of failed attempts at a delivery until the next one."""
    return _RETRY_DELAYS_S[min(attempts, len(_RETRY_DELAYS_S)) - 1]


class ImpossibleFacts(Exception):
    """Facts that exclude each other were found together: an incident, never a silent default."""


_SUCCESS: Final[Mapping[tuple[OrderStatus, DebitState], DebitSuccess]] = {
    (OrderStatus.AWAITING_PAYMENT, DebitState.REQUESTED): DebitSuccess.PAYS,
    (OrderStatus.AWAITING_PAYMENT, DebitState.SHORT_OF_FUNDS): DebitSuccess.PAYS,
    (OrderStatus.AWAITING_PAYMENT, DebitState.STUCK): DebitSuccess.PAYS,
    (OrderStatus.AWAITING_PAYMENT, DebitState.REFUSED): DebitSuccess.PAYS,
    (OrderStatus.CLOSED_UNPAID, DebitState.REFUSED): DebitSuccess.ORPHANS,
    (OrderStatus.PAID, DebitState.SUCCEEDED): DebitSuccess.REPEATS,
    (OrderStatus.ISSUED, DebitState.SUCCEEDED): DebitSuccess.REPEATS,
    (OrderStatus.COMPLETED, DebitState.SUCCEEDED): DebitSuccess.REPEATS,
    (OrderStatus.CLOSED_REFUNDED, DebitState.SUCCEEDED): DebitSuccess.REPEATS,
}


def debit_success(status: OrderStatus, state: DebitState, *, is_current: bool) -> DebitSuccess:
    """What it means that a debit of an order succeeded. Raises ImpossibleFacts.

    `state` is that of the order's current debit. A debit that was replaced had been refused for
    certain; its number pays nothing any more, whatever became of the order since.
    """
    if not is_current:
        return DebitSuccess.ORPHANS
    meaning = _SUCCESS.get((status, state))
    if meaning is None:
        raise ImpossibleFacts(f"a debit succeeded: order {status}, debit {state}")
    return meaning


@dataclass(frozen=True)
class SpotFacts:
    """What is known of one entitlement."""

    usage: Usage
    activated: bool
    settlement: Settlement


_UNUSED_SHOWN: Final[Mapping[tuple[bool, Settlement], Shown]] = {
    (False, Settlement.PENDING): Shown.AWAITING_ACTIVATION,
    (True, Settlement.PENDING): Shown.AWAITING_VISIT,
}

_LATER_SHOWN: Final[Mapping[tuple[Usage, Settlement], Shown]] = {
    (Usage.USED, Settlement.PENDING): Shown.VISITED,
    (Usage.USED, Settlement.SETTLE_FAILED): Shown.AWAITING_SETTLEMENT,
    (Usage.USED, Settlement.SETTLED): Shown.SETTLED,
    (Usage.EXPIRED, Settlement.PENDING): Shown.LAPSED,
    (Usage.VOIDED, Settlement.PENDING): Shown.LAPSED,
    (Usage.EXPIRED, Settlement.REFUND_FAILED): Shown.AWAITING_REFUND,
    (Usage.VOIDED, Settlement.REFUND_FAILED): Shown.AWAITING_REFUND,
    (Usage.EXPIRED, Settlement.REFUNDED): Shown.REFUNDED,
    (Usage.VOIDED, Settlement.REFUNDED): Shown.REFUNDED,
    (Usage.EXPIRED, Settlement.FORFEITED): Shown.FORFEITED,
}


def spot_status(facts: SpotFacts) -> Shown:
    """The spot status (景区状态) of an entitlement. Raises ImpossibleFacts."""
    if facts.usage is Usage.UNUSED:
        shown = _UNUSED_SHOWN.get((facts.activated, facts.settlement))
    else:
        shown = _LATER_SHOWN.get((facts.usage, facts.settlement))
    if shown is None:
        raise ImpossibleFacts(f"{facts.usage}, activated {facts.activated}, {facts.settlement}")
    return shown


def refund_status(shown: Sequence[Shown]) -> RefundStatus:
    """The refund status (退款状态) of an order from its entitlements; the first match wins."""
    kinds = set(shown)
    if Shown.AWAITING_REFUND in kinds:
        return RefundStatus.REFUND_PENDING
    if kinds == {Shown.REFUNDED}:
        return RefundStatus.REFUNDED
    if kinds == {Shown.REFUNDED, Shown.SETTLED}:
        return RefundStatus.PARTIALLY_REFUNDED
    return RefundStatus.NONE


def outcome(facts: Sequence[SpotFacts]) -> OrderStatus | None:
    """What an issued order has become, or None while something may still happen to it.

    交易成功: all used; some used and the rest over; or all over and what expired is forfeited.
    交易关闭2: all refunded. Once every fact is final, there is a conclusion.
    """
    usages = {fact.usage for fact in facts}
    if not facts or Usage.UNUSED in usages:
        return None
    if Usage.USED in usages:
        return OrderStatus.COMPLETED
    if all(fact.settlement is Settlement.REFUNDED for fact in facts):
        return OrderStatus.CLOSED_REFUNDED
    expired = {fact.settlement for fact in facts if fact.usage is Usage.EXPIRED}
    forfeited = Settlement.FORFEITED in expired
    final = expired <= {Settlement.FORFEITED, Settlement.REFUNDED}
    return OrderStatus.COMPLETED if forfeited and final else None
