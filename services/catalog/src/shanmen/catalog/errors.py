"""What catalog refuses."""

from shanmen.common.errors import Conflict, Forbidden, Invalid


class SoldOut(Conflict):
    """售罄: less stock is left than was asked for."""

    code = "sold_out"


class SaleClosed(Conflict):
    """The product is not on sale now: withdrawn, not yet, or no longer."""

    code = "sale_closed"


class NotOnCalendar(Invalid):
    """The product has no stock entry for that date and slot."""

    code = "no_stock_entry"


class PastDate(Invalid):
    """The visit date lies in the past of the spot's own time zone."""

    code = "past_date"


class VisitDateUnfit(Invalid):
    """A dated product needs a visit date, an open-dated one must not have one."""

    code = "visit_date_unfit"


class QuantityOutOfRange(Invalid):
    """Less than one ticket, or more than the product allows in one order."""

    code = "quantity_out_of_range"


class AccountMissing(Conflict):
    """A party has no default settlement account for the role that is needed."""

    code = "settlement_account_missing"


class DuplicateAccount(Conflict):
    """The party's default account is this very one already."""

    code = "duplicate_account"


class ConsentMissing(Conflict):
    """A combined product (联票) is not published before each of its spots has accepted."""

    code = "consent_missing"


class ConsentWithdrawn(Conflict):
    """A spot takes no part in a combined product (联票) any more; nothing new is sold of it."""

    code = "consent_withdrawn"


class TermsChanged(Conflict):
    """Prices or spots are others than those that the caller has read."""

    code = "terms_changed"


class NegativeMargin(Invalid):
    """Spots would be owed more than the distributor pays."""

    code = "negative_margin"


class StatusForbids(Conflict):
    """The product's status does not allow this."""

    code = "status_forbids"


class StockBelowSold(Conflict):
    """Stock cannot go below what is reserved and sold."""

    code = "stock_below_sold"


class NotYours(Forbidden):
    """This kind of principal cannot do that."""

    code = "not_yours"


class UnknownReference(Invalid):
    """The body names a spot or distributor that does not exist."""

    code = "unknown_reference"


class ReservationMismatch(Conflict):
    """The order number holds a reservation of other content."""

    code = "reservation_mismatch"


class ReservationOver(Conflict):
    """The order number's reservation was released; its stock may be another's by now."""

    code = "reservation_over"
