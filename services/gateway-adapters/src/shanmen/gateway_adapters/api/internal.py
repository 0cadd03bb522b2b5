"""Routes for our own services only; not reachable through the edge."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.responses import StreamingResponse

from shanmen.common.auth import Principal, requires
from shanmen.contracts.bills import WealthPosition
from shanmen.gateway_adapters.api.callers import Ctx
from shanmen.gateway_adapters.domain.operations import Channel
from shanmen.gateway_adapters.usecases.billing import tell_bill, tell_position

router = APIRouter()

Reader = Annotated[Principal, Depends(requires("bills:read"))]


@router.get("/internal/bills/{channel}/{bill_date}", include_in_schema=False)
async def bill(
    channel: Channel, bill_date: date, ctx: Ctx, _: Reader, *, refetch: bool = False
) -> StreamingResponse:
    """A channel's bill of a day, for settlement: BillHead, BillLine each, BillEnd."""
    lines = await tell_bill(ctx, channel, bill_date, refetch=refetch)
    return StreamingResponse(lines, media_type="application/x-ndjson")


@router.get("/internal/wealth/{product_id}", include_in_schema=False)
async def position(
    product_id: Annotated[str, Path(max_length=64)], ctx: Ctx, _: Reader
) -> WealthPosition:
    """What is invested for a product now, for settlement."""
    return await tell_position(ctx, product_id)
