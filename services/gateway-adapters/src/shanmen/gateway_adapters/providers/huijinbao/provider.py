"""Huijinbao behind the port that every clearing channel is seen through."""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Final

from shanmen.common.clock import Clock
from shanmen.contracts.bills import BillLine, WealthPosition
from shanmen.gateway_adapters.domain.operations import Channel, OperationKind
from shanmen.gateway_adapters.providers.base import (
    Answer,
    Balance,
    BalanceUnavailable,
    BillDownload,
    BillNotReady,
    BillUnavailable,
    Instruction,
    Notification,
    NoWealth,
    PositionUnavailable,
)
from shanmen.gateway_adapters.providers.calls import (
    AnswerMissing,
    AnswerUnverifiable,
    CallFailed,
    InstructionUnfit,
    not_known,
    not_put,
)
from shanmen.gateway_adapters.providers.huijinbao import (
    answers,
    bills,
    biz,
    notifications,
    outcomes,
)
from shanmen.gateway_adapters.providers.huijinbao.biz import Builder
from shanmen.gateway_adapters.providers.huijinbao.client import HuijinbaoClient, VerifiedAnswer
from shanmen.gateway_adapters.providers.huijinbao.outcomes import Method
from shanmen.gateway_adapters.providers.huijinbao.settings import HuijinbaoSettings
from shanmen.gateway_adapters.providers.transport import JSON, HttpxTransport, Transport

_logger = logging.getLogger(__name__)

_POSITION: Final[Mapping[str, str]] = {
    "principal_fen": "principal",
    "pending_in_fen": "pending_in",
    "pending_out_fen": "pending_out",
    "accrued_fen": "accrued_yield",
}
"""What we call the amounts of a position, and what Huijinbao calls them."""


class HuijinbaoProvider:
    """Debits under agreement, payouts, refunds, wealth, and what became of them."""

    channel = Channel.HUIJINBAO
    bill_types = bills.BILL_TYPES

    def __init__(
        self, settings: HuijinbaoSettings, clock: Clock, transport: Transport | None = None
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._trusted = settings.trusted_keys()
        self._client = HuijinbaoClient(
            settings, clock, transport or HttpxTransport(JSON, connections=settings.connections)
        )

    async def send(self, instruction: Instruction) -> Answer:
        """Ask for the money to move. Safe to repeat with an identical instruction."""
        method, build = biz.SEND[instruction.kind]
        return await self._ask(method, build, instruction)

    async def query(self, instruction: Instruction) -> Answer:
        """Ask what became of it. `Outcome.ABSENT`: the channel knows no such number."""
        return await self._ask(Method.QUERY, biz.query, instruction)

    async def cancel(self, instruction: Instruction) -> Answer:
        """Ask that a debit never happen. `Outcome.OK`: it never will, for certain.

        `Outcome.UNKNOWN`: Huijinbao refuses to cancel it, paid or not. Raises ValueError for what
        is not a debit.
        """
        if instruction.kind is not OperationKind.DEBIT:
            raise ValueError(f"debits are cancelled only, not a {instruction.kind}")
        return await self._ask(Method.CANCEL, biz.cancel, instruction)

    async def balance(self) -> Balance:
        """The platform's available balance. Raises BalanceUnavailable."""
        try:
            answer = await self._client.call(
                Method.BALANCE, {"cst_no": self._settings.platform_cst_no}
            )
        except CallFailed as error:
            raise BalanceUnavailable(f"no verified balance: {error}") from error
        code = answer.text("resp_code")
        if code != outcomes.SUCCESS:
            raise BalanceUnavailable(f"Huijinbao refused to tell the balance: {code}")
        available_fen = answer.fen("avl_bal")
        if available_fen is None:
            raise BalanceUnavailable("the answer holds no avl_bal")
        return Balance(Channel.HUIJINBAO, available_fen, self._clock.now())

    async def bill(self, day: date) -> tuple[BillDownload, ...]:
        """The bill of a day, a gzip file of each type. Raises BillNotReady or BillUnavailable."""
        return tuple([await self._bill_file(day, bill_type) for bill_type in self.bill_types])

    def read_bill(self, file: BillDownload) -> Iterator[BillLine]:
        """The rows of a bill's file. Raises BillUnreadable."""
        return bills.read(file, self._settings.platform_cst_no)

    async def position(self, product_id: str) -> WealthPosition:
        """What is invested for a product. Raises PositionUnavailable or NoWealth."""
        try:
            request = biz.position(product_id, self._settings)
            answer = await self._client.call(Method.POSITION, request)
        except InstructionUnfit as error:
            raise NoWealth(str(error)) from error
        except CallFailed as error:
            raise PositionUnavailable(f"no verified position: {error}") from error
        if answer.text("resp_code") != outcomes.SUCCESS:
            code = answer.text("resp_code")
            raise PositionUnavailable(f"Huijinbao refused to tell the position: {code}")
        return self._position(product_id, answer)

    def read_notification(self, body: bytes) -> Notification:
        """Verify a notification's signature and addressee. Raises NotificationRefused."""
        return notifications.read(body, keys=self._trusted, merchant_id=self._settings.merchant_id)

    def acknowledgement(self, notification: Notification) -> bytes:
        """The exact bytes that stop the channel from resending it."""
        return notifications.acknowledgement(notification)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _bill_file(self, day: date, bill_type: str) -> BillDownload:
        request = {"bill_date": day.isoformat(), "bill_type": bill_type}
        try:
            answer = await self._client.call(Method.BILL, request)
            if answer.text("status") == outcomes.BILL_NOT_READY:
                raise BillNotReady(f"Huijinbao has not made the bill {bill_type} of {day} yet")
            if answer.text("resp_code") != outcomes.SUCCESS:
                code = answer.text("resp_code")
                raise BillUnavailable(f"Huijinbao gave no bill {bill_type} of {day}: {code}")
            content = await self._client.download(answer.text("url"))
        except CallFailed as error:
            raise BillUnavailable(f"no bill {bill_type} of {day}: {error}") from error
        if hashlib.sha256(content).hexdigest() != answer.text("sha256").lower():
            raise BillUnavailable(f"the bill {bill_type} of {day} has another hash than told")
        return BillDownload(self.channel, day, bill_type, content)

    def _position(self, product_id: str, answer: VerifiedAnswer) -> WealthPosition:
        told = {ours: answer.fen(theirs) for ours, theirs in _POSITION.items()}
        if None in told.values():
            raise PositionUnavailable(f"the answer has not all of {', '.join(_POSITION.values())}")
        as_of = answer.moment("as_of") or self._clock.now()
        return WealthPosition.model_validate({"product_id": product_id, "as_of": as_of, **told})

    async def _ask(self, method: Method, build: Builder, instruction: Instruction) -> Answer:
        """Make one call. Whatever goes wrong on the way is an answer: unknown."""
        try:
            verified = await self._client.call(method, build(instruction, self._settings))
        except InstructionUnfit as error:
            return not_put(error)
        except (AnswerMissing, AnswerUnverifiable) as error:
            return not_known(error)
        answer = answers.read(method, instruction, verified)
        if not answer.listed:
            _logger.warning(
                "Huijinbao answered %s with something unlisted: %s %s; taken as unknown",
                method.value,
                answer.code,
                answer.reason,
            )
        return answer
