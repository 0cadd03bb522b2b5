"""Huijinbao behind the port that every clearing channel is seen through."""

import logging

from shanmen.common.clock import Clock
from shanmen.gateway_adapters.domain.operations import Channel, OperationKind
from shanmen.gateway_adapters.providers.base import (
    Answer,
    Balance,
    BalanceUnavailable,
    Instruction,
    Notification,
)
from shanmen.gateway_adapters.providers.calls import (
    AnswerMissing,
    AnswerUnverifiable,
    CallFailed,
    InstructionUnfit,
    not_known,
    not_put,
)
from shanmen.gateway_adapters.providers.huijinbao import answers, biz, notifications, outcomes
from shanmen.gateway_adapters.providers.huijinbao.biz import Builder
from shanmen.gateway_adapters.providers.huijinbao.client import HuijinbaoClient
from shanmen.gateway_adapters.providers.huijinbao.outcomes import Method
from shanmen.gateway_adapters.providers.huijinbao.settings import HuijinbaoSettings
from shanmen.gateway_adapters.providers.transport import JSON, HttpxTransport, Transport

_logger = logging.getLogger(__name__)


class HuijinbaoProvider:
    """Debits under agreement, payouts, refunds, wealth, and what became of them."""

    channel = Channel.HUIJINBAO

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

    def read_notification(self, body: bytes) -> Notification:
        """Verify a notification's signature and addressee. Raises NotificationRefused."""
        return notifications.read(body, keys=self._trusted, merchant_id=self._settings.merchant_id)

    def acknowledgement(self, notification: Notification) -> bytes:
        """The exact bytes that stop the channel from resending it."""
        return notifications.acknowledgement(notification)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

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
