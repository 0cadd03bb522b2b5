"""One state-changing call: its principal, its idempotency claim, and how long it may wait."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Header, Request
from starlette.responses import Response

from shanmen.common.auth import Principal, requires
from shanmen.common.idempotency import Claim, Reply

MAX_WAIT_S: Final = 30

_PREFER_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,4})(?:$|[,;\s])")

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        description="Repeat the call safely: same key and body give the first answer again, "
        "kept for 24 h.",
    ),
]
Prefer = Annotated[
    str | None,
    Header(
        max_length=200,
        description="`wait=N` (RFC 7240): wait up to N seconds, at most 30, for the outcome.",
    ),
]


@dataclass(frozen=True)
class Call:
    """A POST that changes something."""

    principal: Principal
    claim: Claim | None


def changes(*scopes: str, fresh: bool = False) -> Callable[..., Awaitable[Call]]:
    """A FastAPI dependency for POSTs: who calls, and under which idempotency key.

    `fresh` as in `requires`.
    """
    authorized = requires(*scopes, fresh=fresh)

    async def dependency(request: Request, idempotency_key: IdempotencyKey = None) -> Call:
        principal = await authorized(request)
        if idempotency_key is None:
            return Call(principal, None)
        digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode())
        digest.update(await request.body())
        return Call(principal, Claim(principal.owner, idempotency_key, digest.hexdigest()))

    dependency.scopes = scopes  # type: ignore[attr-defined] # read by the route inventory tests
    return dependency


def wait_seconds(prefer: str | None) -> int:
    """Seconds that the client would wait, 0 without a preference, at most 30."""
    match = _PREFER_WAIT.search(prefer or "")
    return min(int(match.group(1)), MAX_WAIT_S) if match else 0


def send_reply(reply: Reply) -> Response:
    """The stored or fresh reply as an HTTP answer, byte for byte."""
    return Response(
        reply.body, reply.status, headers=dict(reply.headers), media_type="application/json"
    )
