"""Routes for statements (对账单) of spots and distributors, the platform's days (日报), and the
financial reports of products (联票财务报告)."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from shanmen.common.auth import Principal, PrincipalKind, requires
from shanmen.common.errors import NotFound
from shanmen.common.pagination import CursorText, Limit, Page, decode_cursor
from shanmen.settlement.api.callers import Ctx, number_of_cursor, tenant_of
from shanmen.settlement.api.downloads import AS_FILE, FileForm, Form, send_book
from shanmen.settlement.domain.reports import PRODUCT_MEASURES
from shanmen.settlement.schemas import products
from shanmen.settlement.schemas import reports as schemas
from shanmen.settlement.usecases import profits, reporting
from shanmen.settlement.views import reports as views

router = APIRouter()

Party = Annotated[Principal, Depends(requires("settlement:read", "reports:read"))]
Reporter = Annotated[Principal, Depends(requires("reports:read"))]
PathId = Annotated[str, Path(max_length=64)]
First = Annotated[date, Query(alias="from", description="First day, Beijing time.")]
Last = Annotated[
    date, Query(alias="to", description=f"Last day, included; at most {reporting.MOST_DAYS} days.")
]
OptionalFirst = Annotated[
    date | None, Query(alias="from", description="First day, Beijing time; with `to`, or neither.")
]
OptionalLast = Annotated[
    date | None, Query(alias="to", description="Last day, included; neither for all of its time.")
]


@router.get("/v1/reports/spots/{spot_id}", response_model=schemas.SpotStatement, responses=AS_FILE)
async def report_spot(
    spot_id: PathId, ctx: Ctx, principal: Party, form: FileForm, *, first: First, last: Last
) -> schemas.SpotStatement | Response:
    """A spot's statement (景区对账单): visits, payouts, and what is payable before and after."""
    _require_own(principal, PrincipalKind.SPOT, spot_id)
    days = reporting.days_between(first, last)
    async with ctx.db.snapshot() as tx:
        statement = await reporting.report_spot(tx, spot_id, days)
    if form is Form.JSON:
        return statement
    name = f"spot-{spot_id}-{first}-{last}"
    return await send_book(name, views.spot_book(statement), form)


@router.get(
    "/v1/reports/distributors/{distributor_id}",
    response_model=schemas.DistributorStatement,
    responses=AS_FILE,
)
async def report_distributor(
    distributor_id: PathId, ctx: Ctx, principal: Party, form: FileForm, *, first: First, last: Last
) -> schemas.DistributorStatement | Response:
    """A distributor's statement (经销商对账单): debits, refunds and fees, also by order."""
    _require_own(principal, PrincipalKind.DISTRIBUTOR, distributor_id)
    days = reporting.days_between(first, last)
    async with ctx.db.snapshot() as tx:
        statement = await reporting.report_distributor(tx, distributor_id, days)
    if form is Form.JSON:
        return statement
    name = f"distributor-{distributor_id}-{first}-{last}"
    return await send_book(name, views.distributor_book(statement), form)


@router.get("/v1/reports/daily", response_model=schemas.DailySummary, responses=AS_FILE)
async def report_days(
    ctx: Ctx, principal: Reporter, form: FileForm, *, first: First, last: Last
) -> schemas.DailySummary | Response:
    """The platform's days (日报): what moved on each, and the balances at its end.

    Every figure names the accounts, kinds of postings and period of the entries it adds up.
    """
    tenant_of(principal)
    days = reporting.days_between(first, last)
    async with ctx.db.snapshot() as tx:
        summary = await reporting.report_days(tx, days)
    if form is Form.JSON:
        return summary
    return await send_book(f"daily-{first}-{last}", views.daily_book(summary), form)


@router.get("/v1/reports/products")
async def list_products(
    ctx: Ctx, principal: Reporter, *, limit: Limit = 50, cursor: CursorText = None
) -> Page[products.SoldProduct]:
    """Combined products (联票) of which something was sold, newest first, with their profit."""
    tenant_of(principal)
    after = decode_cursor(cursor)
    async with ctx.db.snapshot() as tx:
        return await profits.list_products(tx, after=after, limit=limit)


@router.get(
    "/v1/reports/products/{product_id}",
    response_model=products.ProductReport,
    responses=AS_FILE,
)
async def report_product(
    product_id: PathId,
    ctx: Ctx,
    principal: Reporter,
    form: FileForm,
    *,
    first: OptionalFirst = None,
    last: OptionalLast = None,
) -> products.ProductReport | Response:
    """The financial report of a product (联票财务报告), the basis of the offline profit split.

    Without days it is of all of the product's time. Every figure names the accounts and kinds of
    postings that it adds up, and where to list those postings.
    """
    tenant_of(principal)
    days = profits.product_days(first, last)
    async with ctx.db.snapshot() as tx:
        report = await profits.report_product(tx, product_id, days)
    if form is Form.JSON:
        return report
    name = f"product-{product_id}-{report.first}-{report.last}"
    return await send_book(name, views.product_book(report), form)


@router.get("/v1/reports/products/{product_id}/postings")
async def list_product_postings(
    product_id: PathId,
    ctx: Ctx,
    principal: Reporter,
    *,
    figure: Annotated[
        str, Query(max_length=64, json_schema_extra={"enum": list(PRODUCT_MEASURES)})
    ],
    first: OptionalFirst = None,
    last: OptionalLast = None,
    limit: Limit = 100,
    cursor: CursorText = None,
) -> Page[products.FigurePosting]:
    """The very postings that a figure of a product's report adds up, as they were recorded.

    Of a balance these are all postings until the last day, also those before the first.
    """
    tenant_of(principal)
    days, after = profits.product_days(first, last), number_of_cursor(cursor)
    async with ctx.db.snapshot() as tx:
        return await profits.list_postings(tx, product_id, figure, days, after=after, limit=limit)


def _require_own(principal: Principal, kind: PrincipalKind, party_id: str) -> None:
    """That this is an operator, or the party itself. Raises NotForThisCaller, NotFound."""
    tenant = tenant_of(principal, kind)
    if tenant and party_id not in tenant.values():
        raise NotFound(kind.value, party_id)
