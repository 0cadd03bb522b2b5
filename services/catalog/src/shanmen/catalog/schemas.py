"""Catalog's requests and answers. Amounts are integer fen, rates basis points, times RFC 3339."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Final, Literal
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationInfo,
    field_validator,
)

from shanmen.catalog.domain import AccountRole, ConsentStatus, ProductStatus, VisitRule
from shanmen.contracts.catalog import ProductKind, RealNameRule
from shanmen.contracts.terms import RefundRule

ID_SHAPE: Final = r"^[!-~]{1,64}$"
_TEXT_SHAPE: Final = r"^[^\x00-\x1f\x7f]+$"
_PHONE: Final = re.compile(r"\+?[0-9][0-9-]{5,19}")
_ACCOUNT_SHAPES: Final[Mapping[str, re.Pattern[str]]] = {
    "alipay": re.compile(r"2088[0-9]{12}|1[0-9]{10}|[!-?A-~]{1,64}@[!-?A-~]{1,60}"),
    "huijinbao": re.compile(r"[A-Z0-9]{6,32}"),
}


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("not an IANA time zone, such as Asia/Shanghai")
    return name


def _phone(number: str) -> str:
    if not _PHONE.fullmatch(number):
        raise ValueError("not a phone number")
    return number


class Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


Name = Annotated[str, Field(min_length=1, max_length=100, pattern=_TEXT_SHAPE)]
Phone = Annotated[str, AfterValidator(_phone)]
FeeBps = Annotated[StrictInt, Field(ge=0, le=10_000, description="basis points, 1/10 000")]
Id = Annotated[str, Field(pattern=ID_SHAPE)]
Slot = Annotated[str, Field(min_length=1, max_length=32, pattern=_TEXT_SHAPE)]
Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2999, 12, 31))]


class NewSpot(Body):
    """Onboard a scenic spot (景区入驻)."""

    name: Name
    contact_phone: Phone | None = None
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "Asia/Shanghai"
    settlement_fee_bps: FeeBps = 0
    offline_grace_s: StrictInt = Field(
        default=0, ge=0, le=7 * 86_400, description="seconds that gates may work offline"
    )


class NewDistributor(Body):
    """Onboard a distributor (经销商入驻)."""

    name: Name
    contact_phone: Phone | None = None
    transaction_fee_bps: FeeBps = 0


class SpotView(BaseModel):
    """A scenic spot."""

    spot_id: str
    name: str
    contact_phone: str | None
    time_zone: str
    settlement_fee_bps: int
    offline_grace_s: int
    created_at: datetime


class DistributorView(BaseModel):
    """A distributor."""

    distributor_id: str
    name: str
    contact_phone: str | None
    transaction_fee_bps: int
    created_at: datetime


class NewAccount(Body):
    """Register a settlement account (结算账户); it becomes the default of its role.

    One that the party had before, with the same name and agreement, becomes the default again.
    """

    party_id: Id | None = Field(default=None, description="required for operators, else your own")
    role: AccountRole = Field(description="`pay` (付款, distributors) or `receive` (收款, spots)")
    channel: Literal["alipay", "huijinbao"]
    account_no: str = Field(min_length=1, max_length=128)
    account_name: Name
    agreement_no: str | None = Field(
        default=None,
        validate_default=True,
        pattern=r"^[A-Za-z0-9]{1,64}$",
        description="withholding agreement (代扣协议) of a pay account",
    )

    @field_validator("account_no")
    @classmethod
    def _of_the_channel(cls, account_no: str, info: ValidationInfo) -> str:
        channel = info.data.get("channel")
        if channel is not None and not _ACCOUNT_SHAPES[channel].fullmatch(account_no):
            raise ValueError(f"not an account of {channel}")
        return account_no

    @field_validator("agreement_no")
    @classmethod
    def _where_one_is_needed(cls, agreement_no: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("role") is AccountRole.PAY and agreement_no is None:
            raise ValueError("a pay account needs its withholding agreement")
        return agreement_no


class AccountView(BaseModel):
    """A settlement account; its number is masked."""

    account_id: str
    party_id: str
    role: AccountRole
    channel: str
    account_no_masked: str
    account_name: str
    is_default: bool
    """Whether new orders use it."""
    default_since: datetime | None
    """Since when it has been the default; null when it is not."""
    created_at: datetime


class NewCredential(Body):
    """Mint a token. Without `scopes` it gets all that its kind can have.

    An operator's is held by the same person as the one that it is minted with, and has no scope
    that one lacks: nobody makes themselves a second person, or more than they are. A person new
    to the platform gets the first token by `python -m shanmen.catalog.bootstrap`.
    """

    kind: Literal["operator", "spot", "distributor", "reseller", "device"]
    party_id: Id | None = Field(default=None, description="required for operators, else your own")
    reseller: Name | None = Field(default=None, description="name of the reseller, for that kind")
    label: Name
    scopes: list[Id] | None = Field(default=None, max_length=32)
    expires_at: AwareDatetime | None = None


class CredentialView(BaseModel):
    """A credential; `token` is shown once, when it is minted."""

    credential_id: str
    kind: str
    party_id: str | None
    reseller: str | None
    person: str | None
    label: str
    scopes: list[str]
    expires_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime
    token: str | None = None


class NewProductSpot(Body):
    """One spot of a product, and what it is owed for a visit."""

    spot_id: Id
    settle_fen: StrictInt = Field(ge=0, le=10**9, description="spot settlement price (景区结算价)")


class StockEntry(Body):
    """Stock (库存) of one day, or of an open-dated product as a whole."""

    visit_date: Day | None = None
    slot: Slot | None = None
    total: StrictInt = Field(ge=0, le=10_000_000)


class StockEntries(Body):
    """Set the totals of calendar entries."""

    entries: list[StockEntry] = Field(min_length=1, max_length=400)


UnitPrice = Annotated[
    StrictInt,
    Field(gt=0, le=10**9, description="distributor settlement price (经销商结算价) of one ticket"),
]


class CombinedTerms(Body):
    """Prices and spots of a combined product (联票); a change asks every spot for its consent."""

    unit_price_fen: UnitPrice
    spots: list[NewProductSpot] = Field(max_length=50, description="two or more, in order")
    allow_negative_margin: StrictBool = Field(
        default=False, description="the spots may be owed more than the distributor pays"
    )


class ConsentAnswer(Body):
    """A spot's answer to being part of a combined product (联票)."""

    answer: Literal["accept", "withdraw"]
    version: StrictInt | None = Field(
        default=None,
        validate_default=True,
        ge=1,
        le=2**31 - 1,
        description="of the product as you have read it; needed to accept",
    )

    @field_validator("version")
    @classmethod
    def _where_one_is_needed(cls, version: int | None, info: ValidationInfo) -> int | None:
        if info.data.get("answer") == "accept" and version is None:
            raise ValueError("accepting needs the version of the product that you have read")
        return version


class NewRefundRule(Body):
    """When unused parts are refunded (退款); else they are forfeited (无须退款)."""

    on_expiry: StrictBool = Field(default=True, description="once they have expired")
    before_visit: StrictBool = Field(default=False, description="when the distributor asks for it")
    refunds_fee: StrictBool = Field(default=False, description="the transaction fee goes back too")


class NewProduct(Body):
    """Create a product (票务); a draft until it is published."""

    name: Name
    kind: ProductKind = ProductKind.SINGLE
    unit_price_fen: UnitPrice
    spots: list[NewProductSpot] = Field(
        default=[], max_length=50, description="a spot's own single ticket may leave this empty"
    )
    visit_rule: VisitRule = VisitRule.DATED
    valid_days: StrictInt = Field(
        default=1, ge=1, le=366, description="days, from the visit date on"
    )
    valid_from: Day | None = Field(
        default=None, validate_default=True, description="open-dated products"
    )
    valid_until: Day | None = Field(
        default=None, validate_default=True, description="open-dated products, included"
    )
    sale_from: AwareDatetime | None = None
    sale_until: AwareDatetime | None = Field(default=None, description="exclusive")
    max_quantity: StrictInt = Field(default=50, ge=1, le=1000, description="tickets in one order")
    real_name: RealNameRule = RealNameRule.NONE
    refund_rule: NewRefundRule = NewRefundRule()
    payment_timeout_s: StrictInt = Field(
        default=1800, ge=1, le=7 * 86_400, description="seconds to pay"
    )
    allow_negative_margin: StrictBool = Field(
        default=False,
        description="combined tickets: the spots may be owed more than the distributor pays",
    )
    invests: StrictBool | None = Field(
        default=None,
        description="combined tickets: the price is invested (理财) until the visit; "
        "true unless you say otherwise",
    )
    stock: list[StockEntry] = Field(default=[], max_length=400)
    publish: StrictBool = False

    @field_validator("spots")
    @classmethod
    def _one_of_a_single_ticket(
        cls, spots: list[NewProductSpot], info: ValidationInfo
    ) -> list[NewProductSpot]:
        if info.data.get("kind") is ProductKind.SINGLE and len(spots) > 1:
            raise ValueError("a single ticket (单票) is for one spot")
        return spots

    @field_validator("allow_negative_margin", "invests")
    @classmethod
    def _of_combined_tickets(cls, wish: bool | None, info: ValidationInfo) -> bool | None:
        if wish and info.data.get("kind") is ProductKind.SINGLE:
            raise ValueError("only a combined ticket (联票) can")
        return wish

    @field_validator("valid_from", "valid_until")
    @classmethod
    def _where_one_is_needed(cls, day: date | None, info: ValidationInfo) -> date | None:
        if info.data.get("visit_rule") is VisitRule.OPEN and day is None:
            raise ValueError("an open-dated product needs it")
        return day

    @field_validator("valid_until")
    @classmethod
    def _not_before_valid_from(cls, end: date | None, info: ValidationInfo) -> date | None:
        begin = info.data.get("valid_from")
        if begin is not None and end is not None and end < begin:
            raise ValueError("lies before valid_from; give that day or a later one")
        return end

    @field_validator("sale_until")
    @classmethod
    def _after_sale_from(cls, end: datetime | None, info: ValidationInfo) -> datetime | None:
        begin = info.data.get("sale_from")
        if begin is not None and end is not None and end <= begin:
            raise ValueError("does not lie after sale_from; give a later moment, or leave it out")
        return end


class ConsentView(BaseModel):
    """A spot's consent to the present terms of a combined product (联票)."""

    status: ConsentStatus
    answered_at: datetime | None
    answered_by: str | None
    """The credential that answered."""


class ProductSpotView(BaseModel):
    """One spot of a product.

    The settlement price and, of a combined product, the consent are shown to the spot itself and
    the platform only.
    """

    spot_id: str
    name: str
    settle_fen: int | None = None
    consent: ConsentView | None = None


class ProductView(BaseModel):
    """A product in the pool (票池)."""

    product_id: str
    name: str
    kind: ProductKind
    status: ProductStatus
    unit_price_fen: int
    currency: Literal["CNY"] = "CNY"
    spots: list[ProductSpotView]
    visit_rule: VisitRule
    valid_days: int
    valid_from: date | None
    valid_until: date | None
    sale_from: datetime | None
    sale_until: datetime | None
    max_quantity: int
    real_name: RealNameRule
    refund_rule: RefundRule
    payment_timeout_s: int
    invests: bool
    allow_negative_margin: bool | None
    """Shown to the platform only."""
    version: int
    terms_version: int
    """The version as of which prices and spots are what they are."""


class AvailabilityEntry(BaseModel):
    """What can be sold of one calendar entry."""

    visit_date: date | None
    slot: str | None
    available: int
    unit_price_fen: int


class Availability(BaseModel):
    """A product's calendar of price and stock."""

    product_id: str
    on_sale: bool
    entries: list[AvailabilityEntry]


class Introspection(BaseModel):
    """RFC 7662: whether a token is live, and whose it is."""

    active: bool
    principal: dict[str, object] | None = None
