"""What orders refuses."""

from shanmen.common.errors import Conflict, Refusal


class DuplicateOrderNo(Conflict):
    """The distributor used this order number before, for another order."""

    code = "duplicate_distributor_order_no"


class OrderIsClosed(Conflict):
    """交易关闭: nothing can be done with a closed order."""

    code = "order_closed"


class AlreadyPaid(Conflict):
    """The order is paid; it can no longer be cancelled."""

    code = "order_already_paid"


class PaymentInProgress(Conflict):
    """A debit may have happened or may yet happen; nobody can undo it by closing the order."""

    code = "payment_in_progress"


class PaymentDeadlinePassed(Conflict):
    """The time to pay is over; the order is about to be closed."""

    code = "payment_deadline_passed"


class StockRefusal(Refusal):
    """Catalog's own refusal, passed on with its status and code."""

    def __init__(self, status: int, code: str, detail: str, field: str | None) -> None:
        errors = [{"field": field, "detail": detail}] if field else []
        super().__init__(detail, code=code, **({"errors": errors} if errors else {}))
        self.status = status
