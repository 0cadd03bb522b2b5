"""How a call to a channel can fail, and what answer that is: an unknown one, or none was made."""

from enum import StrEnum
from http import HTTPStatus
from typing import Final

from shanmen.gateway_adapters.domain.operations import Outcome
from shanmen.gateway_adapters.providers.base import Answer, Contact
from shanmen.gateway_adapters.providers.transport import (
    Timeout,
    Transport,
    TransportFailed,
    Trouble,
)

FILE_LIMIT_BYTES: Final = 64 << 20
"""The largest file that is taken from a channel: a day's bill with millions of rows."""


class Doubt(StrEnum):
    """Why an answer that came cannot be believed."""

    MALFORMED = "malformed"
    """Not an answer in the channel's form."""
    UNSIGNED = "unsigned"
    """It carries no signature, as some of a channel's own refusals do."""
    UNKNOWN_CERTIFICATE = "unknown_certificate"
    """Signed by a certificate that is not among ours."""
    UNKNOWN_KEY = "unknown_key"
    """Signed by a key that is not among ours."""
    BAD_SIGNATURE = "bad_signature"
    OTHER_CALL = "other_call"
    """Signed, but not for us, or not as the answer to this call."""


class InstructionUnfit(ValueError):
    """An instruction that cannot be put to the channel; `code` says why. Nothing was sent."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class CallFailed(Exception):
    """A call brought no verified answer.

    - AnswerMissing: no whole answer came
    - AnswerUnverifiable: an answer came that cannot be believed
    """


class AnswerMissing(CallFailed):
    """No whole answer came; `kind` says why, and whether the request had left."""

    def __init__(self, kind: Trouble, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class AnswerUnverifiable(CallFailed):
    """An answer came that cannot be believed; `raw` is kept for people, not for decisions."""

    def __init__(self, kind: Doubt, detail: str, raw: bytes) -> None:
        super().__init__(detail)
        self.kind = kind
        self.raw = raw


async def get_file(transport: Transport, url: str, limits: Timeout) -> bytes:
    """A file that a channel's answer links to. Raises AnswerMissing."""
    try:
        answer = await transport.get(url, limits, limit_bytes=FILE_LIMIT_BYTES)
    except TransportFailed as error:
        raise AnswerMissing(error.trouble, str(error)) from error
    if answer.status != HTTPStatus.OK:
        raise AnswerMissing(Trouble.NO_FILE, f"HTTP {answer.status} instead of a file")
    return answer.body


def not_put(error: InstructionUnfit) -> Answer:
    """The answer of a call that was not made: a setting or an account has to be mended."""
    return Answer(
        Outcome.CONFIG,
        "instruction",
        str(error),
        sub_code=error.code,
        contact=Contact.NOT_CALLED,
    )


def not_known(error: AnswerMissing | AnswerUnverifiable) -> Answer:
    """The answer of a call without a verified answer: it may have been carried out, or not."""
    return Answer(
        Outcome.UNKNOWN,
        "transport",
        str(error),
        sub_code=error.kind,
        raw=error.raw if isinstance(error, AnswerUnverifiable) else b"",
        contact=Contact.SILENT,
    )
