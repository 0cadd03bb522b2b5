"""Values that several producers' messages share."""

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """A value inside messages."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class AccountRef(Wire):
    """A settlement account (结算账户) by reference; an account never changes, it is replaced."""

    account_id: str
    channel: str


class RefundRule(Wire):
    """What a product promises about money given back."""

    on_expiry: bool = True
    """An unused, expired part is refunded; otherwise it is forfeited (无须退款)."""
    before_visit: bool = False
    """The distributor may refund unused parts before they expire."""
    refunds_fee: bool = False
    """The transaction fee goes back too."""
