"""What orders refuses."""

from shanmen.common.errors import Conflict, Invalid, Refusal


class DuplicateOrderNo(Conflict):
    """The distributor used this order number before, for another order."""

    code = "duplicate_distributor_order_no"


class OrderIsClosed(Conflict):
    """交易关闭: nothing can be done with a closed order."""

    code = "order_closed"


class AlreadyPaid(Conflict):
    """The order is paid; it can no longer be cancelled."""

    code = "order_already_paid"


class CancelInProgress(Conflict):
    """The channel was asked to cancel this order's debit; it is not paid meanwhile."""

    code = "cancel_in_progress"


class PaymentDeadlinePassed(Conflict):
    """The time to pay is over; the order is about to be closed."""

    code = "payment_deadline_passed"


class NotRefundableNow(Conflict):
    """Only an issued order has anything to refund before the visit."""

    code = "not_refundable_now"


class RefundNotAllowed(Conflict):
    """The product was sold without refunds before the visit."""

    code = "refund_not_allowed"


class EntitlementNotRefundable(Conflict):
    """Used, over or refunded already; `entitlement_ids` names them."""

    code = "entitlement_not_refundable"


class StockRefusal(Refusal):
    """Catalog's own refusal, passed on with its status and code."""

    def __init__(self, status: int, code: str, detail: str, field: str | None) -> None:
        errors = [{"field": field, "detail": detail}] if field else []
        super().__init__(detail, code=code, **({"errors": errors} if errors else {}))
        self.status = status


class UnsafeUrl(Invalid):
    """A URL that we do not connect to: malformed, not https, or not on the public internet."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, field="body.url", code="unsafe_url")


class TooManyEndpoints(Conflict):
    """The distributor has as many webhook endpoints as it may have."""

    code = "too_many_endpoints"


class EndpointDisabled(Conflict):
    """Nothing is sent to an endpoint that is disabled."""

    code = "endpoint_disabled"


class VersionRequired(Refusal):
    """A change that does not say what it changes (RFC 6585 section 3)."""

    status = 428
    code = "if_match_required"


class VersionChanged(Refusal):
    """The thing was changed after the caller had read it (RFC 9110 section 15.5.13)."""

    status = 412
    code = "changed_meanwhile"
