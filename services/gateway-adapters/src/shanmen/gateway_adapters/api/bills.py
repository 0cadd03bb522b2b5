"""Routes of bills (账单), for operators: which there are, and each as it came."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from shanmen.common.errors import Invalid, NotFound
from shanmen.common.pagination import CursorText, Limit, Page, decode_cursor, page_of
from shanmen.gateway_adapters.api.callers import Ctx, Operator
from shanmen.gateway_adapters.domain.operations import Channel
from shanmen.gateway_adapters.queries import bills
from shanmen.gateway_adapters.schemas import BillView

router = APIRouter()

_PACKED = {
    Channel.ALIPAY: ("zip", "application/zip"),
    Channel.HUIJINBAO: ("csv.gz", "application/gzip"),
}
"""What a channel's files are: how their names end, and their media type."""


@router.get("/v1/bills")
async def list_bills(
    *,
    ctx: Ctx,
    _: Operator,
    channel: Channel | None = None,
    first: Annotated[date | None, Query(alias="from", description="the first day")] = None,
    last: Annotated[date | None, Query(alias="to", description="the last day, included")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[BillView]:
    """Bills that were fetched, newest day first; all versions of a bill that changed."""
    if first is not None and last is not None and first > last:
        raise Invalid("`from` must not be after `to`.", field="query.from")
    async with ctx.db.transaction() as tx:
        rows = await bills.list_bills(
            tx, channel=channel, first=first, last=last, after=_bill_id(cursor), limit=limit
        )
    views = [BillView.model_validate(row, from_attributes=True) for row in rows]
    return page_of(views, [str(row.id) for row in rows], limit)


@router.get(
    "/v1/bills/{channel}/{bill_date}/{bill_type}/file",
    response_class=Response,
    responses={200: {"content": {kind: {} for _, kind in _PACKED.values()}}},
)
async def bill_file(
    *,
    channel: Channel,
    bill_date: date,
    bill_type: Annotated[str, Path(max_length=32)],
    ctx: Ctx,
    _: Operator,
    sha256: Annotated[
        str | None,
        Query(pattern="^[0-9a-f]{64}$", description="of an older version; otherwise the newest"),
    ] = None,
) -> Response:
    """A bill's file as it came from the channel; its name says which, and begins its hash."""
    async with ctx.db.transaction() as tx:
        row = await bills.bill_file(tx, channel, bill_date, bill_type, sha256)
    if row is None:
        raise NotFound("bill", f"{channel} {bill_date} {bill_type}")
    ending, media_type = _PACKED[channel]
    name = f"{channel}-{bill_date}-{row.bill_type}-{row.sha256[:12]}.{ending}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(row.content, media_type=media_type, headers=headers)


def _bill_id(cursor: str | None) -> int | None:
    key = decode_cursor(cursor)
    if key is None:
        return None
    if not (key.isascii() and key.isdigit() and len(key) <= 18):
        raise Invalid("Not a cursor; use `next_cursor` of the page before.", field="cursor")
    return int(key)
