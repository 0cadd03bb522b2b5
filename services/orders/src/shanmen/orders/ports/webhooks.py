"""Sends notices to distributors' endpoints, signed as Standard Webhooks 1.0 asks."""

import asyncio
import base64
import hashlib
import hmac
import secrets
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

import httpx

from shanmen.common.clock import Clock, SystemClock
from shanmen.orders.errors import UnsafeUrl
from shanmen.orders.ports.addresses import (
    Resolve,
    Target,
    UrlRules,
    checked_addresses,
    parse_target,
    resolve_by_system,
)

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what secrets begin with, so that scanners know them

_SECRET_BYTES: Final = 32


@dataclass(frozen=True)
class Parcel:
    """One notice for one endpoint; every secret signs it, so that receivers can rotate theirs."""

    url: str
    message_id: str
    body: bytes
    secrets: Sequence[str] = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """What came back: a status, or the reason why there is none."""

    status: int | None
    reason: str

    @property
    def is_success(self) -> bool:
        """Whether the endpoint has taken the notice."""
        return self.status is not None and 200 <= self.status < 300


class Courier(Protocol):
    """Reaches distributors' endpoints."""

    async def check(self, url: str) -> None:
        """Whether we would connect to a URL as it resolves now. Raises UnsafeUrl."""

    async def deliver(self, parcel: Parcel) -> Answer:
        """Post a parcel once. Whatever goes wrong is an Answer."""


def new_secret() -> str:
    """A new signing secret: `whsec_` and the base64 of 32 random bytes."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def sign(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    """One signature: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = b".".join((message_id.encode(), str(timestamp_s).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


class HttpCourier:
    """Posts over HTTP, each time to an address that was checked just before.

    `clock` is the machine's own even where the business clock is moved: receivers compare the
    signed timestamp with theirs.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        rules: UrlRules,
        *,
        timeout_s: float,
        resolve: Resolve = resolve_by_system,
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._rules = rules
        self._timeout_s = timeout_s
        self._resolve = resolve
        self._clock = clock or SystemClock()

    async def check(self, url: str) -> None:
        """See Courier."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await checked_addresses(parse_target(url, self._rules), self._rules, self._resolve)
        except TimeoutError:
            raise UnsafeUrl("The host name cannot be resolved in time.") from None

    async def deliver(self, parcel: Parcel) -> Answer:
        """See Courier. Never follows a redirect, never reads the body of the answer."""
        try:
            async with asyncio.timeout(self._timeout_s):
                target = parse_target(parcel.url, self._rules)
                addresses = await checked_addresses(target, self._rules, self._resolve)
                return await self._post_to_first(parcel, target, addresses)
        except UnsafeUrl as error:
            return Answer(None, f"not sent: {error.detail}")
        except (TimeoutError, httpx.TimeoutException):
            return Answer(None, f"no answer within {self._timeout_s:g} s")
        except httpx.ConnectError:
            return Answer(None, "cannot connect")
        except httpx.HTTPError as error:
            return Answer(None, f"no answer: {type(error).__name__}")

    async def _post_to_first(
        self, parcel: Parcel, target: Target, addresses: Sequence[str]
    ) -> Answer:
        """Post to the first address that takes a connection. Raises httpx.HTTPError."""
        for address in addresses[:-1]:
            try:
                return await self._post(parcel, target, address)
            except httpx.ConnectError:
                continue
        return await self._post(parcel, target, addresses[-1])

    async def _post(self, parcel: Parcel, target: Target, address: str) -> Answer:
        timestamp_s = int(self._clock.now().timestamp())
        signatures = [
            sign(secret, parcel.message_id, timestamp_s, parcel.body) for secret in parcel.secrets
        ]
        async with self._client.stream(
            "POST",
            target.at(address),
            content=parcel.body,
            headers={
                "Host": target.authority,
                "Content-Type": "application/json",
                "webhook-id": parcel.message_id,
                "webhook-timestamp": str(timestamp_s),
                "webhook-signature": " ".join(signatures),
            },
            # The certificate is checked against the name, not against the address.
            extensions={"sni_hostname": target.host},
        ) as answer:
            return Answer(answer.status_code, f"HTTP {answer.status_code}")


@asynccontextmanager
async def open_courier(
    rules: UrlRules,
    *,
    timeout_s: float,
    resolve: Resolve = resolve_by_system,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[HttpCourier]:
    """A courier with its client."""
    async with httpx.AsyncClient(
        verify=tls or True,
        follow_redirects=False,
        trust_env=False,
        # Well within the whole: a handshake that is cancelled would leave its socket open.
        timeout=httpx.Timeout(timeout_s, connect=timeout_s / 4),
        headers={"User-Agent": "Shanmen-Webhooks/1.0"},
        # A kept connection is found again by its address: it could be another host's.
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
    ) as client:
        yield HttpCourier(client, rules, timeout_s=timeout_s, resolve=resolve)
