"""Bills (账单): fetched from a channel, read to their end, kept as they came, told by the line.

    fetch (no transaction) ─▶ read all of it ─▶ keep every file (commit) ─▶ answer

A bill is kept only if each of its files can be read, and told only if it is kept: whoever asks
gets all of it, or a refusal.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from typing import Any, Final

from sqlalchemy import Row

from shanmen.contracts.bills import (
    BillEnd,
    BillFile,
    BillHead,
    BillLine,
    KnownOperation,
    WealthPosition,
)
from shanmen.contracts.terms import Wire
from shanmen.gateway_adapters.domain.operations import Channel
from shanmen.gateway_adapters.errors import (
    BillNotRead,
    ChannelOff,
    ChannelUnavailable,
    NoBillYet,
    NotInvested,
)
from shanmen.gateway_adapters.ports import GatewayContext
from shanmen.gateway_adapters.providers.base import (
    BillDownload,
    BillNotReady,
    BillUnavailable,
    NoWealth,
    PositionUnavailable,
    Provider,
)
from shanmen.gateway_adapters.providers.bills import BillUnreadable, Totals
from shanmen.gateway_adapters.queries import bills as queries
from shanmen.gateway_adapters.queries import circuits
from shanmen.gateway_adapters.queries.operations import known_operations

BATCH: Final = 1_000
"""Rows of a bill that are read, and looked up, at a time."""


@dataclass
class _Told:
    """A file as it has been read: its totals, and its rows as they are answered."""

    download: BillDownload
    fetched_at: datetime
    totals: Totals = field(default_factory=Totals)
    lines: list[bytes] = field(default_factory=list)

    @property
    def file(self) -> BillFile:
        return BillFile(
            bill_type=self.download.bill_type,
            sha256=_sha256(self.download),
            rows=self.totals.rows,
            sum_in_fen=self.totals.sum_in_fen,
            sum_out_fen=self.totals.sum_out_fen,
            fetched_at=self.fetched_at,
        )


async def tell_bill(
    ctx: GatewayContext, channel: Channel, bill_date: date, *, refetch: bool
) -> Iterator[bytes]:
    """A channel's bill of a day: BillHead, a BillLine for every row, BillEnd, a line of JSON each.

    As it is kept, unless that is not all of it or `refetch` wants it anew. Everything is read
    before this returns. Raises NoBillYet, BillNotRead, ChannelUnavailable or ChannelOff.
    """
    provider = _provider(ctx, channel)
    kept = {} if refetch else await _kept(ctx, channel, bill_date)
    is_kept = kept.keys() >= set(provider.bill_types)
    downloads = _downloads(kept, provider) if is_kept else await _fetch(ctx, provider, bill_date)
    now = ctx.clock.now()
    told = [
        _Told(download, kept[download.bill_type].fetched_at if is_kept else now)
        for download in downloads
    ]
    for each in told:
        await _read(ctx, provider, each)
    if not is_kept:
        await _keep(ctx, told)
    return _answer(channel, bill_date, told)


async def tell_position(ctx: GatewayContext, product_id: str) -> WealthPosition:
    """What Huijinbao says is invested for a product now.

    Raises NotInvested, ChannelUnavailable or ChannelOff.
    """
    provider = _provider(ctx, Channel.HUIJINBAO)
    await _require_answering(ctx, provider.channel)
    try:
        return await provider.position(product_id)
    except NoWealth as error:
        raise NotInvested(f"{error}.") from error
    except PositionUnavailable as error:
        raise ChannelUnavailable(f"{provider.channel} told no position: {error}.") from error


def _provider(ctx: GatewayContext, channel: Channel) -> Provider:
    if channel not in ctx.providers:
        raise ChannelOff(f"{channel} is not set up.")
    return ctx.providers[channel]


async def _kept(ctx: GatewayContext, channel: Channel, bill_date: date) -> Mapping[str, Row[Any]]:
    async with ctx.db.transaction() as tx:
        return await queries.newest_bills(tx, channel, bill_date)


def _downloads(kept: Mapping[str, Row[Any]], provider: Provider) -> Sequence[BillDownload]:
    return [
        BillDownload(provider.channel, kept[name].bill_date, name, kept[name].content)
        for name in provider.bill_types
    ]


async def _fetch(
    ctx: GatewayContext, provider: Provider, bill_date: date
) -> Sequence[BillDownload]:
    await _require_answering(ctx, provider.channel)
    try:
        return await provider.bill(bill_date)
    except BillNotReady as error:
        raise NoBillYet(f"{error}; ask again later.") from error
    except BillUnavailable as error:
        raise ChannelUnavailable(f"{provider.channel} gave no bill: {error}.") from error


async def _require_answering(ctx: GatewayContext, channel: Channel) -> None:
    """Leave a channel alone that counts as down. Raises ChannelUnavailable."""
    async with ctx.db.transaction() as tx:
        circuit = (await circuits.circuits(tx)).get(channel)
    if circuit is not None and circuit.opened_at is not None:
        raise ChannelUnavailable(f"{channel} has not answered since {circuit.opened_at}.")


async def _read(ctx: GatewayContext, provider: Provider, told: _Told) -> None:
    """Read a file to its end, a batch at a time and beside the event loop."""
    lines = provider.read_bill(told.download)
    try:
        while batch := await asyncio.to_thread(list, islice(lines, BATCH)):
            for line in batch:
                told.totals.add(line)
            told.lines.append(await _with_known(ctx, provider.channel, batch))
    except BillUnreadable as error:
        raise BillNotRead(f"{error}.") from error


async def _with_known(ctx: GatewayContext, channel: Channel, batch: Sequence[BillLine]) -> bytes:
    numbers = {line.number for line in batch if line.number}
    async with ctx.db.transaction() as tx:
        rows = await known_operations(tx, channel, numbers)
    known = {
        number: KnownOperation(kind=row.kind, status=row.status, amount_fen=row.amount_fen)
        for number, row in rows.items()
    }
    return b"".join(
        _json(line.model_copy(update={"known": known.get(line.number)})) for line in batch
    )


async def _keep(ctx: GatewayContext, told: Sequence[_Told]) -> None:
    rows = [
        {
            "channel": each.download.channel,
            "bill_date": each.download.bill_date,
            "content": each.download.content,
            **each.file.model_dump(),
        }
        for each in told
    ]
    async with ctx.db.transaction() as tx:
        await queries.keep_bills(tx, rows)


def _answer(channel: Channel, bill_date: date, told: Sequence[_Told]) -> Iterator[bytes]:
    files = tuple(each.file for each in told)
    yield _json(BillHead(channel=channel, bill_date=bill_date, files=files))
    for each in told:
        yield from each.lines
    yield _json(BillEnd(rows=sum(file.rows for file in files)))


def _json(said: Wire) -> bytes:
    return said.model_dump_json().encode() + b"\n"


def _sha256(download: BillDownload) -> str:
    return hashlib.sha256(download.content).hexdigest()
