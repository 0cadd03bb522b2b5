"""Verification's routes."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import AwareDatetime
from starlette.responses import Response

from shanmen.common.auth import Principal, PrincipalKind, requires
from shanmen.common.errors import Invalid
from shanmen.common.http.calls import Call, changes, send_reply
from shanmen.common.pagination import CursorText, Limit, Page, decode_cursor, page_of
from shanmen.verification import usecases
from shanmen.verification.domain import Verdict
from shanmen.verification.errors import NotAGate
from shanmen.verification.ports import ScanCommand, VerificationContext
from shanmen.verification.queries import ScanFilter
from shanmen.verification.schemas import ScanRequest, ScanView, TicketPasses

router = APIRouter()

_GATE_KINDS: Final = frozenset({PrincipalKind.SPOT, PrincipalKind.DEVICE})
_PRINTABLE: Final = r"^[\x21-\x7e]{1,64}$"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SCAN_POSITION: Final = re.compile(r"(?P<at_us>\d{1,16})\.(?P<scan_id>scn_[0-9A-Z]{26})")


async def context(request: Request) -> VerificationContext:
    """The service's ports."""
    found: VerificationContext = request.app.state.context
    return found


Ctx = Annotated[VerificationContext, Depends(context)]
Gate = Annotated[Call, Depends(changes("scans:write"))]
Reader = Annotated[Principal, Depends(requires("scans:read"))]
Number = Annotated[str, Path(pattern=_PRINTABLE)]
NumberFilter = Annotated[str | None, Query(pattern=_PRINTABLE)]
Instant = Annotated[
    AwareDatetime | None,
    Query(ge=_EPOCH, lt=datetime(2200, 1, 1, tzinfo=UTC), description="RFC 3339, with a zone."),
]


@router.post(
    "/v1/scans",
    tags=["scans"],
    summary="Scan a ticket at a gate (验票)",
    status_code=201,
    response_model=ScanView,
)
async def post_scan(body: ScanRequest, call: Gate, ctx: Ctx) -> Response:
    """Read a code, decide, record. A refused scan is a 201 too: its verdict is in the body."""
    device = call.principal.credential_id
    # Per device, not per spot: a key that two gates happen to share must not admit twice.
    claim = replace(call.claim, owner=f"device:{device}") if call.claim else None
    command = ScanCommand(_gate_spot(call.principal), device, body.qr, claim)
    return send_reply(await ctx.scan_queue.submit(command))


@router.get(
    "/v1/scans",
    tags=["scans"],
    summary="List scans, newest first",
)
async def get_scans(
    *,
    principal: Reader,
    ctx: Ctx,
    spot_id: NumberFilter = None,
    verdict: Verdict | None = None,
    ticket_no: NumberFilter = None,
    since: Annotated[Instant, Query(alias="from")] = None,
    until: Annotated[Instant, Query(alias="to")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[ScanView]:
    """A spot and its devices see the spot's scans; the platform sees all."""
    wanted = ScanFilter(
        tenant_id=_visible_spot(principal),
        limit=limit,
        spot_id=spot_id,
        verdict=verdict,
        ticket_no=ticket_no,
        since=since,
        until=until,
        after=_position(cursor),
    )
    scans = await usecases.list_scans(ctx, wanted)
    return page_of(scans, [_position_key(scan) for scan in scans], limit)


@router.get(
    "/v1/scans/{scan_id}",
    tags=["scans"],
    summary="Show a scan",
)
async def get_scan(scan_id: Number, principal: Reader, ctx: Ctx) -> ScanView:
    """The verdict that the scan got when it was made."""
    return await usecases.show_scan(ctx, scan_id, _visible_spot(principal))


@router.get(
    "/v1/passes/{ticket_no}",
    tags=["passes"],
    summary="Show why a ticket does (not) open the gate",
)
async def get_passes(ticket_no: Number, principal: Reader, ctx: Ctx) -> TicketPasses:
    """A spot sees its own pass of the ticket; the platform sees every spot's."""
    return await usecases.show_passes(ctx, ticket_no, _visible_spot(principal))


def _gate_spot(principal: Principal) -> str:
    """The spot that the caller stands at. Raises NotAGate."""
    if principal.kind not in _GATE_KINDS or principal.party_id is None:
        raise NotAGate
    return principal.party_id


def _visible_spot(principal: Principal) -> str | None:
    """Whose scans and passes the caller may see: one spot's, or (None) everybody's."""
    return None if principal.is_operator else _gate_spot(principal)


def _position_key(scan: ScanView) -> str:
    return f"{(scan.scanned_at - _EPOCH) // timedelta(microseconds=1)}.{scan.scan_id}"


def _position(cursor: str | None) -> tuple[datetime, str] | None:
    key = decode_cursor(cursor)
    if key is None:
        return None
    match = _SCAN_POSITION.fullmatch(key)
    if match is None:
        raise Invalid("Not a cursor; use `next_cursor` of the page before.", field="cursor")
    return _EPOCH + timedelta(microseconds=int(match["at_us"])), match["scan_id"]
