"""Which addresses a webhook may be sent to: places on the public internet, and nothing inside.

A distributor names the URL, and we connect to it from inside our own network. So the name is
resolved once, every address that it has is checked, and the connection goes to an address that
was checked: a second look-up could answer differently (DNS rebinding). OWASP API7:2023.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from shanmen.orders.errors import UnsafeUrl

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a host name, as text. Raises OSError when there are none."""

MOST_CHARACTERS: Final = 2048

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_PLAIN = re.compile(r"[!-\[\]^_a-z|~]+")
"""Visible ASCII but backslash, backquote and braces, which parsers disagree about."""
_NAME = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
_OUTSIDE_V6: Final = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC: Final = tuple(
    ipaddress.ip_network(block)
    for block in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24"),
        *("192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
        "168.63.129.16/32",  # a cloud's own control address, in the middle of the public space
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)
"""IANA's special-purpose registries (RFC 6890): none of them is a place on the internet."""


@dataclass(frozen=True)
class UrlRules:
    """What may be called. All but the ports is for installations without an internet."""

    ports: frozenset[int] = frozenset({443, 8443})
    allow_high_ports: bool = False
    allow_http: bool = False
    allow_private: bool = False


@dataclass(frozen=True)
class Target:
    """A URL taken apart: `host` in lower case and without brackets."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the `Host` header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def at(self, address: str) -> str:
        """The same URL with an address in place of the name."""
        host = f"[{address}]" if ":" in address else address
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def parse_target(url: str, rules: UrlRules) -> Target:
    """Take a URL apart. Raises UnsafeUrl for one that may not be called, whatever it leads to."""
    if len(url) > MOST_CHARACTERS or not _PLAIN.fullmatch(url):
        raise UnsafeUrl("Give a URL of visible ASCII characters; write other names in punycode.")
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise UnsafeUrl("This is not a URL.") from None
    if parts.scheme not in ("https", "http") or not host:
        raise UnsafeUrl("Give an absolute URL, such as https://tickets.example.com/webhooks.")
    if parts.scheme == "http" and not rules.allow_http:
        raise UnsafeUrl("Use https.")
    if "@" in parts.netloc or "#" in url:
        raise UnsafeUrl("Leave out user names, passwords and fragments.")
    port = _DEFAULT_PORTS[parts.scheme] if port is None else port
    if not _is_port_allowed(port, parts.scheme, rules):
        raise UnsafeUrl(f"Port {port} is not open to webhooks; use one of {sorted(rules.ports)}.")
    _check_host(host)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port, path)


async def checked_addresses(target: Target, rules: UrlRules, resolve: Resolve) -> Sequence[str]:
    """Where a target is, IPv4 first; one look-up. Raises UnsafeUrl, also when it is nowhere."""
    try:
        found = [str(ipaddress.ip_address(target.host))]
    except ValueError:
        try:
            found = list(await resolve(target.host))
        except (OSError, UnicodeError):
            found = []
    if not found:
        raise UnsafeUrl(f"{target.host} cannot be resolved.")
    # One bad address condemns them all: which of them is tried is not for the name's owner to say.
    if not rules.allow_private and not all(is_public(address) for address in found):
        raise UnsafeUrl(f"{target.host} is not on the public internet.")
    return sorted(dict.fromkeys(found), key=lambda address: ":" in address)


def is_public(address: str) -> bool:
    """Whether an address is a place on the public internet."""
    try:
        parsed: Address = ipaddress.ip_address(address)
    except ValueError:
        return False
    if parsed.version == 6 and parsed not in _OUTSIDE_V6:
        # Loopback, unspecified, ULA, link- and site-local, multicast; mapped and translated IPv4.
        return False
    return parsed.is_global and not any(
        parsed.version == block.version and parsed in block for block in _NOT_PUBLIC
    )


async def resolve_by_system(host: str) -> Sequence[str]:
    """Ask the system's resolver. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def _is_port_allowed(port: int, scheme: str, rules: UrlRules) -> bool:
    if port in rules.ports or (scheme == "http" and port == _DEFAULT_PORTS["http"]):
        return True
    return rules.allow_high_ports and 1024 <= port <= 65_535


def _check_host(host: str) -> None:
    if ":" in host:
        try:
            is_plain = ipaddress.IPv6Address(host).scope_id is None
        except ValueError:
            is_plain = False
    elif _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        # Resolvers read 2130706433, 0x7f.1 and 0177.0.0.1 as addresses (WHATWG URL, IPv4 parser).
        try:
            is_plain = bool(ipaddress.IPv4Address(host))
        except ValueError:
            is_plain = False
    else:
        is_plain = len(host) <= 253 and _NAME.fullmatch(host) is not None
    if not is_plain:
        raise UnsafeUrl(f"{host} is not a host name or address in its usual spelling.")
