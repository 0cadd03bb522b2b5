"""A settlement service on a database of its own, and the facts that other services tell it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import Table, func, select

from shanmen.common.app import create_app
from shanmen.common.broker.protocol import Verdict
from shanmen.common.clock import ManualClock
from shanmen.common.db import Database
from shanmen.common.errors import Conflict, Unavailable
from shanmen.common.events import Event, Message
from shanmen.common.inbox import Inbox
from shanmen.common.outbox import OUTBOX, Outbox
from shanmen.common.testing.clients import running_of
from shanmen.common.testing.events import deliver
from shanmen.common.testing.fixtures import OpenDatabase
from shanmen.common.testing.principals import FakeIntrospector, principal
from shanmen.contracts.bills import WealthPosition
from shanmen.contracts.gateway import OperationFailed, OperationStuck, OperationSucceeded
from shanmen.contracts.orders import (
    DebitOrphaned,
    DebitParked,
    IssuedEntitlement,
    IssuedTicket,
    OrderClosed,
    OrderPaid,
    TicketsIssued,
)
from shanmen.contracts.terms import AccountRef, RefundRule
from shanmen.contracts.verification import (
    EntitlementExpired,
    EntitlementUsed,
    EntitlementVoided,
)
from shanmen.settlement.domain.ledger import balance_fen
from shanmen.settlement.domain.reconciliation import BILL_TYPES, Bill, File, Line
from shanmen.settlement.events import SUBSCRIPTIONS
from shanmen.settlement.main import SERVICE
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.tables import (
    ENTITLEMENTS,
    ENTRIES,
    PAYOUTS,
    REFUNDS,
    WORK_ITEMS,
)

NOON: Final = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)
PAYER: Final = AccountRef(account_id="acc_payer", channel="alipay")
RECEIVER: Final = AccountRef(account_id="acc_receiver", channel="alipay")
READING: Final = ("settlement:read", "ledger:read")


ClientAs = Callable[..., httpx.AsyncClient]


class FakeReceivers:
    """Knows where every spot is paid: at `account`."""

    def __init__(self) -> None:
        self.account = RECEIVER

    async def current(self, spot_id: str) -> AccountRef:
        """See shanmen.settlement.ports.Receivers."""
        return self.account


class FakePositions:
    """Knows the positions that it is given, by product; of others nobody knows anything."""

    def __init__(self) -> None:
        self.known: dict[str, WealthPosition] = {}

    async def position(self, product_id: str) -> WealthPosition:
        """See shanmen.settlement.ports.Positions."""
        if product_id not in self.known:
            raise Unavailable("Nobody knows.")
        return self.known[product_id]


class FakeBills:
    """Has the bills that a test puts into `found`, by channel and day."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, date], list[Line]] = {}
        self.asked: list[tuple[str, date, bool]] = []

    async def bill(
        self, channel: str, day: date, *, refetch: bool = False, only: frozenset[str] | None = None
    ) -> Bill:
        """See shanmen.settlement.ports.Bills."""
        self.asked.append((channel, day, refetch))
        if (channel, day) not in self.found:
            raise Conflict(f"{channel} has no bill of {day} yet.", code="bill_not_ready")
        lines = self.found[channel, day]
        files = (self._file(bill_type, lines) for bill_type in BILL_TYPES[channel])
        wanted = [
            line
            for line in lines
            if only is None or not only.isdisjoint((line.number, line.root, line.channel_ref))
        ]
        return Bill(tuple(files), wanted)

    def _file(self, bill_type: str, lines: Sequence[Line]) -> File:
        mine = [line for line in lines if line.bill_type == bill_type]
        sums = {
            way: sum(line.amount_fen for line in mine if line.direction == way)
            for way in ("in", "out")
        }
        return File(
            bill_type=bill_type,
            sha256="0" * 64,
            rows=len(mine),
            sum_in_fen=sums["in"],
            sum_out_fen=sums["out"],
        )


class Story:
    """What happens to settlement, told by the other services' events.

    A short name stands for a whole order of one ticket for one spot: order `a` is `ord_a`, with
    the entitlement `ent_a`. Unless told otherwise it costs 10000 fen and a fee of 60, and the spot
    is owed 9000, less a fee of 100.
    """

    def __init__(self, context: SettlementContext) -> None:
        self.context = context
        self.inbox = Inbox(context.db, SUBSCRIPTIONS[0], context)

    # facts

    def paid(self, name: str = "a", **given: Any) -> OrderPaid:
        """The order's distributor was debited."""
        return OrderPaid(
            **{
                "order_no": f"ord_{name}",
                "distributor_id": "dst_1",
                "product_id": "prd_1",
                "operation_id": f"deb_{name}",
                "account": PAYER,
                "price_fen": 10_000,
                "fee_fen": 60,
                "paid_at": NOON,
                **given,
            }
        )

    def issued(self, name: str = "a", **given: Any) -> TicketsIssued:
        """The order's only ticket has a number; `given` goes to its entitlement."""
        distributor_id = given.pop("distributor_id", "dst_1")
        rule = given.pop("refund_rule", RefundRule())
        issued_at = given.pop("issued_at", NOON)
        invests = given.pop("invests", False)
        product_id = given.pop("product_id", "prd_1")
        terms = {
            "entitlement_id": f"ent_{name}",
            "spot_id": "spt_1",
            "part_fen": 10_000,
            "settle_fen": 9_000,
            "settlement_fee_fen": 100,
            "receive_account": RECEIVER,
            "valid_from": NOON,
            "valid_until": NOON,
            "expires_at": NOON,
        }
        entitlement = IssuedEntitlement.model_validate({**terms, **given})
        ticket = IssuedTicket(ticket_no=f"T-{name}", activated=True, entitlements=(entitlement,))
        return TicketsIssued(
            order_no=f"ord_{name}",
            distributor_id=distributor_id,
            product_id=product_id,
            issued_at=issued_at,
            refund_rule=rule,
            tickets=(ticket,),
            invests=invests,
        )

    def used(self, name: str = "a", at: datetime = NOON) -> EntitlementUsed:
        """The order's visitor was admitted."""
        return EntitlementUsed(
            entitlement_id=f"ent_{name}",
            ticket_no=f"T-{name}",
            order_no=f"ord_{name}",
            spot_id="spt_1",
            used_at=at,
            scan_id=f"scn_{name}",
            device="gate 1",
        )

    def voided(self, name: str = "a") -> EntitlementVoided:
        """The order's entitlement was made unusable before any visit."""
        return EntitlementVoided(**self._usage(name), voided_at=NOON)

    def expired(self, name: str = "a") -> EntitlementExpired:
        """Nobody visited while the order's entitlement was valid."""
        return EntitlementExpired(**self._usage(name), expired_at=NOON)

    def _usage(self, name: str) -> dict[str, Any]:
        return {
            "entitlement_id": f"ent_{name}",
            "ticket_no": f"T-{name}",
            "order_no": f"ord_{name}",
            "spot_id": "spt_1",
        }

    def orphaned(self, name: str = "a", **given: Any) -> DebitOrphaned:
        """The order was closed when its debit succeeded."""
        usual: Mapping[str, Any] = {
            "order_no": f"ord_{name}",
            "distributor_id": "dst_1",
            "operation_id": f"deb_{name}",
            "account": PAYER,
            "amount_fen": 10_060,
            "debited_at": NOON,
        }
        return DebitOrphaned(**{**usual, **given})

    def parked(self, name: str = "a", outcome: str = "funds") -> DebitParked:
        """The order's debit waits for a top-up, or for a person."""
        return DebitParked(
            order_no=f"ord_{name}",
            distributor_id="dst_1",
            operation_id=f"deb_{name}",
            channel="alipay",
            amount_fen=10_060,
            outcome=outcome,
            reason="买家余额不足",
            since=NOON,
        )

    def closed(self, name: str = "a", operation_id: str | None = "deb_a") -> OrderClosed:
        """The order ended unpaid."""
        return OrderClosed(
            order_no=f"ord_{name}", reason="cancelled", debit_operation_id=operation_id
        )

    def succeeded(self, operation_id: str, **given: Any) -> OperationSucceeded:
        """The gateway moved an operation's money; by default a payout of the usual amount."""
        usual: Mapping[str, Any] = {
            "kind": "payout",
            "channel": "alipay",
            "amount_fen": 8_900,
            "channel_ref": "2026110122001",
            "finished_at": NOON,
        }
        return OperationSucceeded(operation_id=operation_id, **{**usual, **given})

    def stuck(
        self, operation_id: str, reason: str = "balance too low", **given: Any
    ) -> OperationStuck:
        """An operation, by default a payout, waits for a person."""
        usual: Mapping[str, Any] = {
            "kind": "payout",
            "channel": "alipay",
            "outcome": "funds",
            "code": "PAYER_BALANCE_NOT_ENOUGH",
            "since": NOON,
        }
        return OperationStuck(operation_id=operation_id, reason=reason, **{**usual, **given})

    def failed(
        self, operation_id: str, reason: str = "payee unknown", **given: Any
    ) -> OperationFailed:
        """An operation, by default a payout, was refused for good."""
        usual: Mapping[str, Any] = {
            "kind": "payout",
            "channel": "alipay",
            "code": "PAYEE_NOT_EXIST",
            "finished_at": NOON,
        }
        return OperationFailed(operation_id=operation_id, reason=reason, **{**usual, **given})

    # telling them

    async def tell(self, *events: Event | Message) -> Sequence[Verdict]:
        """Hand events to the inbox as one batch; returns its verdicts."""
        return await deliver(self.inbox, *events)

    async def told(self, *events: Event | Message) -> None:
        """Hand events to the inbox one by one, all of which it must accept."""
        for event in events:
            (verdict,) = await self.tell(event)
            assert verdict.fate == "done", verdict.reason

    # what came of it

    async def rows(self, table: Table) -> list[dict[str, Any]]:
        """All rows of a table in order of its primary key."""
        async with self.context.db.transaction() as tx:
            found = await tx.execute(select(table).order_by(*table.primary_key.columns))
            return [dict(row) for row in found.mappings()]

    async def entitlement(self, name: str = "a") -> dict[str, Any]:
        """The money side of an order's only entitlement."""
        (row,) = [
            row for row in await self.rows(ENTITLEMENTS) if row["entitlement_id"] == f"ent_{name}"
        ]
        return row

    async def payout(self) -> dict[str, Any]:
        """The only payout there is."""
        (row,) = await self.rows(PAYOUTS)
        return row

    async def refund(self) -> dict[str, Any]:
        """The only refund there is."""
        (row,) = await self.rows(REFUNDS)
        return row

    async def open_work(self) -> list[tuple[str, str]]:
        """Kind and subject of what is on the work list."""
        rows = await self.rows(WORK_ITEMS)
        return [(row["kind"], row["subject_id"]) for row in rows if row["status"] == "open"]

    async def sent(self, event_type: type[Event]) -> list[dict[str, Any]]:
        """The payloads of the events of a type that were sent, in order."""
        rows = await self.rows(OUTBOX)
        return [row["data"] for row in rows if row["type"] == event_type.TYPE]

    async def balances(self) -> dict[str, int]:
        """The ledger's accounts that are not at zero, by code."""
        sums = (func.sum(ENTRIES.c.debit_fen), func.sum(ENTRIES.c.credit_fen))
        async with self.context.db.transaction() as tx:
            found = await tx.execute(select(ENTRIES.c.account, *sums).group_by(ENTRIES.c.account))
            every = {
                account: int(balance_fen(account, debit_fen, credit_fen))
                for account, debit_fen, credit_fen in found
            }
        return {account: fen for account, fen in every.items() if fen}


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    """Settlement's database, empty."""
    return await open_database(SERVICE)


@pytest.fixture
def story(database: Database, tokens: FakeIntrospector) -> Story:
    """A settlement service to which nothing has happened yet."""
    return Story(
        SettlementContext(
            db=database,
            tokens=tokens,
            clock=ManualClock(NOON),
            outbox=Outbox("settlement"),
            payout_minimum_fen={"alipay": 10, "huijinbao": 1},
            pay_waiting_s=60,
            four_eyes_above_fen=500_000,
            receivers=FakeReceivers(),
            positions=FakePositions(),
            liquidate_every_s=60,
            accruals_every_s=600,
            bills=FakeBills(),
            reconcile_at=time(10, 30),
            reconcile_edge=timedelta(hours=2),
        )
    )


@pytest.fixture
def client_as(story: Story, tokens: FakeIntrospector) -> ClientAs:
    """`client_as(kind, party_id, scopes=…)`: an HTTP client of that caller, to be entered."""
    app = create_app(SERVICE, running_of(SERVICE, story.context, service_token="settlement's own"))

    def open_client(
        kind: str,
        party_id: str | None = None,
        scopes: Sequence[str] = READING,
        person: str | None = None,
    ) -> httpx.AsyncClient:
        token = tokens.issue(principal(kind, party_id, scopes=scopes, person=person))
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://settlement",
            headers={"Authorization": f"Bearer {token}"},
        )

    return open_client


class Desk:
    """Operators at the work list. Every call is made with a token of its own of that person."""

    SCOPES: Final = (
        *("settlement:read", "money:write", "money:approve", "approvers:write", "audit:read"),
    )

    def __init__(self, story: Story, client_as: ClientAs) -> None:
        self.story = story
        self._client_as = client_as

    async def ask(
        self,
        person: str,
        method: str,
        path: str,
        *,
        scopes: Sequence[str] = SCOPES,
        key: str | None = None,
        **request: Any,
    ) -> httpx.Response:
        """What a person is answered; `key` is an Idempotency-Key."""
        async with self._client_as("operator", scopes=scopes, person=person) as client:
            headers = {"Idempotency-Key": key} if key is not None else {}
            return await client.request(method, path, headers=headers, **request)

    async def act(self, person: str, item_id: str, action: str, **more: Any) -> httpx.Response:
        """A person wants something done about an item."""
        path = f"/v1/work-items/{item_id}/{action}"
        return await self.ask(person, "POST", path, json={"note": "because"}, **more)

    async def approve(
        self, person: str, action_id: str, amount_fen: int, **more: Any
    ) -> httpx.Response:
        """A person approves an action of this amount."""
        path = f"/v1/manual-actions/{action_id}/approve"
        return await self.ask(person, "POST", path, json={"amount_fen": amount_fen}, **more)

    async def grant(self, person: str, by: str = "admin") -> None:
        """Make somebody an approver."""
        answer = await self.ask(by, "POST", "/v1/approvers", json={"person": person})
        assert answer.status_code == 201, answer.text

    async def open_items(self, **params: str) -> list[dict[str, Any]]:
        """What waits, oldest first."""
        answer = await self.ask(
            "anybody", "GET", "/v1/work-items", params={"oldest_first": "true", **params}
        )
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def payout_in_trouble(
        self, name: str = "a", *, outcome: str = "funds", settle_fen: int = 9_000
    ) -> dict[str, Any]:
        """A visit's payout is parked with an outcome, or `refused`; returns its open item."""
        story = self.story
        await story.told(
            story.paid(name, price_fen=settle_fen + 1_000),
            story.issued(name, part_fen=settle_fen + 1_000, settle_fen=settle_fen),
            story.used(name),
        )
        payout_id = (await story.entitlement(name))["payout_id"]
        if outcome == "refused":
            await story.told(story.failed(payout_id))
        else:
            await story.told(story.stuck(payout_id).model_copy(update={"outcome": outcome}))
        (item,) = [i for i in await self.open_items() if i["subject_id"] == payout_id]
        return item


@pytest.fixture
def desk(story: Story, client_as: ClientAs) -> Desk:
    """The operators' work list, empty."""
    return Desk(story, client_as)
