"""What tests stand on: a channel that says what it is told to, and a gateway around it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import Row, Table, and_, func, or_, select

from shanmen.common.broker.protocol import Verdict
from shanmen.common.clock import ManualClock
from shanmen.common.db import Database
from shanmen.common.errors import NotFound
from shanmen.common.events import Event
from shanmen.common.inbox import Inbox
from shanmen.common.outbox import OUTBOX, Outbox
from shanmen.common.testing.clients import settings_for
from shanmen.common.testing.events import deliver, eventually
from shanmen.common.testing.principals import FakeIntrospector
from shanmen.contracts.bills import BillLine, WealthPosition
from shanmen.contracts.gateway import (
    CancelRequested,
    DebitRequested,
    PayoutRequested,
    RefundRequested,
    ResumeRequested,
    WealthLiquidateRequested,
    WealthRedeemRequested,
    WealthSubscribeRequested,
)
from shanmen.contracts.terms import AccountRef
from shanmen.gateway_adapters.domain.operations import Action, Channel, OperationStatus, Outcome
from shanmen.gateway_adapters.events import SUBSCRIPTIONS
from shanmen.gateway_adapters.main import SERVICE
from shanmen.gateway_adapters.ports import Accounts, Contacts, GatewayContext
from shanmen.gateway_adapters.providers.base import (
    Answer,
    Balance,
    BalanceUnavailable,
    BillDownload,
    BillNotReady,
    Counterparty,
    Instruction,
    Notification,
    NotificationRefused,
    NoWealth,
    Provider,
)
from shanmen.gateway_adapters.providers.bills import BillUnreadable
from shanmen.gateway_adapters.providers.sms.base import (
    SmsAnswer,
    SmsOutcome,
    SmsSender,
    TextMessage,
)
from shanmen.gateway_adapters.settings import GatewaySettings
from shanmen.gateway_adapters.tables import ATTEMPTS, OPERATIONS
from shanmen.gateway_adapters.usecases.operating import Operator

PAYER: Final = Counterparty("2088000000000002", "经销商甲", "20265101000000000001")

Reply = Callable[[Action, Instruction], Awaitable[Answer]]


def answer(outcome: Outcome, code: str = "CODE", **given: Any) -> Answer:
    """An answer of this outcome; a success names the channel's own number."""
    usual = {"channel_ref": "2026112222001"} if outcome is Outcome.OK else {}
    return Answer(outcome, code, f"said {outcome}", **{**usual, **given})


def always(outcome: Outcome) -> Reply:
    """A reply that says the same to everything."""

    async def reply(_action: Action, _instruction: Instruction) -> Answer:
        return answer(outcome)

    return reply


class ScriptedChannel:
    """A channel that answers by a script, or by whatever `reply` a test puts in; keeps the calls.

    Its notifications are the text `id number status amount`; any other body has a bad signature.
    Its bill of a day is what `bills` has for it, by type: a BillLine of JSON each line.
    """

    bill_types: tuple[str, ...] = ("trade", "signcustomer")

    def __init__(self, channel: Channel = Channel.ALIPAY) -> None:
        self.channel = channel
        self.calls: list[tuple[Action, Instruction]] = []
        self.reply: Reply = self._by_script
        self.available_fen: int | None = 0
        self.bills: dict[date, Mapping[str, bytes] | Exception] = {}
        self.bills_asked_for: list[date] = []
        self.positions: dict[str, WealthPosition | Exception] = {}
        self._script: deque[Answer | Exception] = deque()

    @property
    def actions(self) -> list[Action]:
        """What was asked so far, in order."""
        return [action for action, _ in self.calls]

    def will_say(self, *script: Outcome | Answer | Exception) -> None:
        """Answer the coming calls so, one each."""
        self._script.extend(answer(s) if isinstance(s, Outcome) else s for s in script)

    async def send(self, instruction: Instruction) -> Answer:
        """See Provider."""
        return await self._called(Action.SEND, instruction)

    async def query(self, instruction: Instruction) -> Answer:
        """See Provider."""
        return await self._called(Action.QUERY, instruction)

    async def cancel(self, instruction: Instruction) -> Answer:
        """See Provider."""
        return await self._called(Action.CANCEL, instruction)

    async def balance(self) -> Balance:
        """See Provider."""
        if self.available_fen is None:
            raise BalanceUnavailable("the channel is down")
        return Balance(self.channel, self.available_fen, datetime.now(UTC))

    async def bill(self, day: date) -> tuple[BillDownload, ...]:
        """See Provider."""
        self.bills_asked_for.append(day)
        files = self.bills.get(day, BillNotReady(f"no bill of {day}"))
        if isinstance(files, Exception):
            raise files
        return tuple(BillDownload(self.channel, day, name, files[name]) for name in files)

    def read_bill(self, file: BillDownload) -> Iterator[BillLine]:
        """See Provider."""
        for place, text in enumerate(file.content.splitlines(), 1):
            try:
                yield BillLine.model_validate_json(text)
            except ValidationError:
                raise BillUnreadable(file, "a BillLine is expected", line=place) from None

    async def position(self, product_id: str) -> WealthPosition:
        """See Provider."""
        told = self.positions.get(product_id, NoWealth(f"nothing is invested for {product_id}"))
        if isinstance(told, Exception):
            raise told
        return told

    def read_notification(self, body: bytes) -> Notification:
        """See Provider."""
        words = body.decode().split()
        if len(words) != 4:
            raise NotificationRefused("bad_signature", "not one of ours")
        notification_id, number, status, amount = words
        return Notification(
            notification_id, number, status, None if amount == "-" else int(amount)
        )

    def acknowledgement(self, notification: Notification) -> bytes:
        """See Provider."""
        return b"success"

    async def aclose(self) -> None:
        """See Provider."""

    async def _called(self, action: Action, instruction: Instruction) -> Answer:
        self.calls.append((action, instruction))
        return await self.reply(action, instruction)

    async def _by_script(self, action: Action, _instruction: Instruction) -> Answer:
        if not self._script:
            raise AssertionError(f"the script has no answer to this {action}")
        said = self._script.popleft()
        if isinstance(said, Exception):
            raise said
        return said


class KnownAccounts:
    """Accounts without a catalog: everybody is PAYER unless told otherwise."""

    def __init__(self, known: Mapping[str, Counterparty] | None = None) -> None:
        self.known = known or {}
        self.errors: deque[Exception] = deque()

    async def counterparty(self, account_id: str) -> Counterparty:
        """See Accounts."""
        if self.errors:
            raise self.errors.popleft()
        return self.known.get(account_id, PAYER)


class KnownContacts:
    """Phone numbers without a catalog. A party that is not known raises NotFound."""

    def __init__(self, phones: Mapping[str, str | None] | None = None) -> None:
        self.phones = dict(phones or {})
        self.errors: deque[Exception] = deque()

    async def phone(self, party_id: str) -> str | None:
        """See Contacts."""
        if self.errors:
            raise self.errors.popleft()
        if party_id not in self.phones:
            raise NotFound("contact", party_id)
        return self.phones[party_id]


class ScriptedSms:
    """An SMS gateway that takes every message, unless told what to answer; keeps the calls."""

    def __init__(self) -> None:
        self.calls: list[TextMessage] = []
        self._script: deque[SmsAnswer] = deque()

    def will_say(self, *script: SmsAnswer) -> None:
        """Answer the coming calls so, one each."""
        self._script.extend(script)

    async def send(self, message: TextMessage) -> SmsAnswer:
        """See SmsSender."""
        self.calls.append(message)
        return self._script.popleft() if self._script else SmsAnswer(SmsOutcome.SENT)

    async def aclose(self) -> None:
        """See SmsSender."""


class Desk:
    """A gateway in a test: requests come in as events, and its operator runs when told to."""

    def __init__(self, ctx: GatewayContext, clock: ManualClock) -> None:
        self.ctx = ctx
        self.clock = clock
        self.inbox = Inbox(ctx.db, SUBSCRIPTIONS[0], ctx)

    async def request(self, event: Event) -> Verdict:
        """Hand a request to the inbox, as a new message; returns its verdict."""
        (verdict,) = await deliver(self.inbox, event)
        return verdict

    async def debit(self, number: str = "deb_1", **given: Any) -> Verdict:
        """Request a debit of 10000 fen for order `ord_1`."""
        return await self.request(debit(number, **given))

    async def payout(self, number: str = "pay_1", **given: Any) -> Verdict:
        """Request a payout of 9000 fen to spot `spt_1`."""
        return await self.request(payout(number, **given))

    async def refund(self, number: str = "ref_1", **given: Any) -> Verdict:
        """Request a refund of 1000 fen of debit `deb_1`."""
        return await self.request(refund(number, **given))

    async def cancel(self, number: str = "deb_1") -> Verdict:
        """Want a debit to be given up."""
        return await self.request(CancelRequested(operation_id=number, order_no="ord_1"))

    async def resume(self, number: str = "deb_1") -> Verdict:
        """Want a parked operation to go on."""
        return await self.request(ResumeRequested(operation_id=number))

    async def work(self, *, within_s: float = 5.0) -> None:
        """Run an operator until nothing is due and nobody is calling."""
        async with self.operating():
            await eventually(self.is_idle, within_s=within_s)

    @asynccontextmanager
    async def operating(self) -> AsyncIterator[None]:
        """Run an operator around a block; it finishes what it has begun."""
        stop = asyncio.Event()
        running = asyncio.create_task(Operator(self.ctx, jitter=lambda: 0.0).run(stop))
        try:
            yield
        finally:
            stop.set()
            await running

    async def work_after(self, seconds: float) -> None:
        """Let time pass, then `work`."""
        self.clock.advance(timedelta(seconds=seconds))
        await self.work()

    async def is_idle(self) -> bool:
        """Whether no operation is due, and none is being worked on."""
        now = self.clock.now()
        is_open = OPERATIONS.c.status == OperationStatus.OPEN
        busy = or_(
            and_(is_open, OPERATIONS.c.next_at <= now),
            OPERATIONS.c.recheck_at <= now,
            OPERATIONS.c.leased_until > now,
        )
        count = select(func.count()).where(busy)
        async with self.ctx.db.transaction() as tx:
            return await tx.scalar(count) == 0

    async def operation(self, number: str = "deb_1") -> Row[Any]:
        """An operation's row."""
        (row,) = [row for row in await self.rows(OPERATIONS) if row.operation_id == number]
        return row

    async def attempts(self, number: str = "deb_1") -> Sequence[Row[Any]]:
        """An operation's attempts, oldest first."""
        return [row for row in await self.rows(ATTEMPTS) if row.operation_id == number]

    async def next_in_s(self, number: str = "deb_1") -> tuple[str, float]:
        """What comes next, and how long after the latest answer."""
        row, attempts = await self.operation(number), await self.attempts(number)
        return row.next_action, (row.next_at - attempts[-1].finished_at).total_seconds()

    async def told(self) -> list[tuple[str, dict[str, Any]]]:
        """Name and payload of the events that the gateway recorded, in order."""
        return [(row.type.split(".")[1], row.data) for row in await self.rows(OUTBOX)]

    async def rows(self, table: Table) -> Sequence[Row[Any]]:
        """All rows of a table, oldest first."""
        async with self.ctx.db.transaction() as tx:
            return (await tx.execute(select(table).order_by(*table.primary_key.columns))).all()


def open_desk(
    database: Database,
    tokens: FakeIntrospector,
    providers: Mapping[Channel, Provider],
    accounts: Accounts | None = None,
    *,
    contacts: Contacts | None = None,
    sms: SmsSender | None = None,
    **settings: Any,
) -> Desk:
    """A gateway on an open database; its clock goes on by itself and can be moved."""
    clock = ManualClock()
    values = {"service_token": "the gateway's own", "operate_poll_s": 0.01, **settings}
    own: GatewaySettings = settings_for(SERVICE, database.url, **values)
    ctx = GatewayContext(
        db=database,
        tokens=tokens,
        clock=clock,
        outbox=Outbox("gateway"),
        accounts=accounts or KnownAccounts(),
        contacts=contacts or KnownContacts(),
        sms=sms or ScriptedSms(),
        providers=providers,
        settings=own,
    )
    return Desk(ctx, clock)


def debit(number: str = "deb_1", **given: Any) -> DebitRequested:
    """A request for a debit of 10000 fen."""
    usual = {"order_no": "ord_1", "account": _account("acc_payer"), "amount_fen": 10_000}
    return DebitRequested(operation_id=number, **{**usual, "description": "门票", **given})


def payout(number: str = "pay_1", **given: Any) -> PayoutRequested:
    """A request for a payout of 9000 fen."""
    usual = {"spot_id": "spt_1", "account": _account("acc_receiver"), "amount_fen": 9_000}
    return PayoutRequested(operation_id=number, **{**usual, "description": "门票结算", **given})


def refund(number: str = "ref_1", **given: Any) -> RefundRequested:
    """A request for a refund of 1000 fen of debit `deb_1`."""
    usual = {
        "order_no": "ord_1",
        "original_operation_id": "deb_1",
        "account": _account("acc_payer"),
        "amount_fen": 1_000,
        "description": "退款",
    }
    return RefundRequested(operation_id=number, **{**usual, **given})


def subscribe(number: str = "sub_1", **given: Any) -> WealthSubscribeRequested:
    """A request to invest 8000 fen of product `prd_1`."""
    return WealthSubscribeRequested(operation_id=number, **{**_invested(8_000), **given})


def redeem(number: str = "red_1", **given: Any) -> WealthRedeemRequested:
    """A request to take 3000 fen of product `prd_1` out again."""
    return WealthRedeemRequested(operation_id=number, **{**_invested(3_000), **given})


def liquidate(number: str = "liq_1", **given: Any) -> WealthLiquidateRequested:
    """A request to take out what is left of product `prd_1`."""
    usual = {"product_id": "prd_1", "description": "联票到期"}
    return WealthLiquidateRequested(operation_id=number, **{**usual, **given})


def _invested(amount_fen: int) -> dict[str, Any]:
    usual = {"product_id": "prd_1", "order_no": "ord_1", "description": "联票理财"}
    return {**usual, "amount_fen": amount_fen}


def _account(account_id: str) -> AccountRef:
    return AccountRef(account_id=account_id, channel="alipay")
