"""What the hot use case of this service is given, and what it gives back."""

from dataclasses import dataclass
from datetime import date

from shanmen.common.auth import Principal
from shanmen.common.idempotency import Claim, Reply


@dataclass(frozen=True)
class PlaceOrder:
    """One order to be placed, for the tenant of `principal`."""

    principal: Principal
    claim: Claim | None
    distributor_order_no: str
    product_id: str
    visit_date: date | None
    slot: str | None
    quantity: int
    reseller: str | None
    reseller_order_no: str | None
    pay: bool
    will_wait: bool

    @property
    def distributor_id(self) -> str:
        """The tenant."""
        return str(self.principal.party_id)

    @property
    def business_key(self) -> tuple[str, str]:
        """Unique for ever: the distributor and its own order number."""
        return self.distributor_id, self.distributor_order_no


@dataclass(frozen=True)
class Placement:
    """An order that stands, by this command or by an earlier equal one."""

    order_no: str
    reply: Reply
    is_new: bool
