"""Bills as the gateway answers them: one JSON value a line, read as it comes."""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from datetime import date, datetime
from typing import Any, Final

import httpx
from pydantic import ValidationError

from shanmen.common.errors import Conflict, Invalid, Refusal, Unavailable
from shanmen.common.telemetry import current_trace
from shanmen.contracts.bills import BillEnd, BillHead
from shanmen.settlement.domain.reconciliation import Bill, File, Line

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 5
READ_TIMEOUT_S: Final = 60
"""The channel's files are fetched and read before the first line comes."""

_UNFIT: Final = (ValueError, KeyError, TypeError)


class GatewayBills:
    """Asks the gateway's internal API."""

    def __init__(self, client: httpx.AsyncClient, service_token: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {service_token}"}

    async def bill(
        self, channel: str, day: date, *, refetch: bool = False, only: frozenset[str] | None = None
    ) -> Bill:
        """See shanmen.settlement.ports.Bills."""
        try:
            async with self._client.stream(
                "GET",
                f"/internal/bills/{channel}/{day.isoformat()}",
                params={"refetch": "true" if refetch else "false"},
                headers={**self._headers, **current_trace()},
                timeout=httpx.Timeout(CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
            ) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise _refusal(answer.status_code, await answer.aread())
                return await _read(answer.aiter_lines(), channel, day, only)
        except (httpx.HTTPError, ValidationError, *_UNFIT) as error:
            log.warning("no whole answer about a bill", extra={"reason": type(error).__name__})
            raise _incomplete(channel, day) from error


async def _read(
    texts: AsyncIterator[str], channel: str, day: date, only: frozenset[str] | None
) -> Bill:
    """The rows under any of these numbers, all without them. Raises Unavailable, ValueError."""
    head = BillHead.model_validate_json(await anext(texts, ""))
    if (head.channel, head.bill_date) != (channel, day):
        raise _incomplete(channel, day)
    lines, rows, end = list[Line](), 0, ""
    async for text in texts:
        if not text:
            continue
        if end:  # nothing comes after the end
            raise _incomplete(channel, day)
        values = json.loads(text)
        if "line" not in values:
            end = text
            continue
        rows += 1
        line = _line(values, day)
        if only is None or not only.isdisjoint((line.number, line.root, line.channel_ref)):
            lines.append(line)
    if BillEnd.model_validate_json(end).rows != rows:
        raise _incomplete(channel, day)
    files = tuple(
        File(file.bill_type, file.sha256, file.rows, file.sum_in_fen, file.sum_out_fen)
        for file in head.files
    )
    return Bill(files, lines)


def _line(values: Mapping[str, Any], day: date) -> Line:
    """A row, by hand: there are a hundred thousand. Raises what is in _UNFIT."""
    channel_ref = values["channel_ref"]
    number = values["number"] or channel_ref
    known = values.get("known")
    return Line(
        bill_type=values["bill_type"],
        line=values["line"],
        number=number,
        root=values.get("original_number") or number,
        direction=values["direction"],
        amount_fen=int(values["amount_fen"]),
        succeeded=values.get("succeeded", True),
        business_type=values["business_type"],
        channel_ref=channel_ref,
        at=datetime.fromisoformat(values["at"]),
        day=day,
        known=(known["kind"], known["status"]) if known else None,
    )


def _refusal(status: int, content: bytes) -> Refusal:
    """The gateway's own refusal, if it is one of the caller's to act on."""
    try:
        problem = json.loads(content)
        code, detail = str(problem["code"]), str(problem["detail"])
    except _UNFIT:
        return Unavailable("The gateway cannot give the bill at the moment; try again.")
    if status == Conflict.status:
        return Conflict(detail, code=code)
    if status == Invalid.status:
        return Invalid(detail, code=code)
    return Unavailable(f"The gateway cannot give the bill at the moment: {detail}")


def _incomplete(channel: str, day: date) -> Unavailable:
    return Unavailable(
        f"The gateway's answer about the bill of {channel} of {day} is not whole; try again."
    )
