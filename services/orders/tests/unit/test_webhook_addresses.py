"""Where webhooks may go: nowhere but the public internet, and where one was checked to go."""

from collections.abc import Sequence
from typing import Final

import pytest

from shanmen.orders.errors import UnsafeUrl
from shanmen.orders.ports.addresses import (
    Target,
    UrlRules,
    checked_addresses,
    is_public,
    parse_target,
)

STRICT: Final = UrlRules()
LOCAL: Final = UrlRules(allow_high_ports=True, allow_http=True, allow_private=True)

REFUSED_AS_WRITTEN: Final = [
    # scheme and shape
    "",
    "tickets.example.com",
    "//tickets.example.com/",
    "http://tickets.example.com/",
    "ftp://tickets.example.com/",
    "file:///etc/passwd",
    "gopher://tickets.example.com:443/",
    "https://",
    "https:///path",
    "https://tickets.example.com:port/",
    "https://[::1/",
    "https://" + "a" * 2048,
    # what parsers disagree about
    "https://user@tickets.example.com/",
    "https://tickets.example.com:443@127.0.0.1/",
    "https://tickets.example.com#@127.0.0.1/",
    "https://tickets.example.com\\@127.0.0.1/",
    "https://tickets.example.com/\r\nHost: inside",
    "https://tickets.example.com/ a",
    "https://票.example.com/",
    "https://tickets..example.com/",
    "https://-tickets.example.com/",
    "https://tickets.example.com./",
    # ports
    "https://tickets.example.com:0/",
    "https://tickets.example.com:22/",
    "https://tickets.example.com:80/",
    "https://tickets.example.com:5432/",
    "https://tickets.example.com:65536/",
]

ODD_SPELLINGS: Final = [
    # IPv4 as resolvers understand it
    *("2130706433", "0x7f000001", "017700000001", "0177.0.0.1", "0x7f.1", "127.1", "127.0.0.1."),
    *("1.2.3.4.5", "tickets.example.0x7f", "127。0。0。1", "%31%32%37.0.0.1"),
    # IPv6 with a zone
    "[fe80::1%25eth0]",
]

INSIDE: Final = [
    "0.0.0.0",  # noqa: S104 - is to be refused
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]

OUTSIDE: Final = [
    *("8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1"),
    *("192.167.255.255", "223.255.255.254", "2400:3200::1", "2606:4700::1111"),
]


class Names:
    """A resolver that knows these names, and counts what it was asked."""

    def __init__(self, **known: Sequence[str]) -> None:
        self._known = known
        self.asked: list[str] = []

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        if host not in self._known:
            raise OSError("no such name")
        return self._known[host]


@pytest.mark.parametrize(
    "url", [*REFUSED_AS_WRITTEN, *(f"https://{host}/" for host in ODD_SPELLINGS)]
)
def test_a_url_is_refused_as_it_is_written(url: str) -> None:
    with pytest.raises(UnsafeUrl) as refused:
        parse_target(url, STRICT)
    assert (refused.value.status, refused.value.code) == (422, "unsafe_url")


@pytest.mark.parametrize("address", INSIDE)
async def test_what_leads_inside_is_refused(address: str) -> None:
    """By address, by a name that has it, and by a name that has a public one besides."""
    assert not is_public(address)
    literal = f"https://[{address}]/" if ":" in address else f"https://{address}/"
    resolve = Names(inside=[address], mixed=["8.8.8.8", address])
    for url in (literal, "https://inside/", "https://mixed/"):
        with pytest.raises(UnsafeUrl):
            await checked_addresses(parse_target(url, STRICT), STRICT, resolve)


@pytest.mark.parametrize("address", OUTSIDE)
def test_the_public_internet_is_allowed(address: str) -> None:
    assert is_public(address)


async def test_a_name_without_an_address_is_refused() -> None:
    for resolve in (Names(), Names(empty=[])):
        with pytest.raises(UnsafeUrl):
            await checked_addresses(parse_target("https://empty/", STRICT), STRICT, resolve)
    odd = Names(empty=["not an address"])
    with pytest.raises(UnsafeUrl):
        await checked_addresses(parse_target("https://empty/", STRICT), STRICT, odd)


async def test_a_name_is_looked_up_once_and_an_address_never() -> None:
    resolve = Names(both=["2606:4700::1111", "8.8.8.8", "8.8.8.8"])
    found = await checked_addresses(parse_target("https://both/", STRICT), STRICT, resolve)
    assert (found, resolve.asked) == (["8.8.8.8", "2606:4700::1111"], ["both"])
    target = parse_target(f"https://{OUTSIDE[0]}/", STRICT)
    found = await checked_addresses(target, STRICT, resolve)
    assert (found, resolve.asked) == ([OUTSIDE[0]], ["both"])


def test_a_url_is_taken_apart() -> None:
    target = parse_target("HTTPS://Tickets.Example.com:8443/a/b?c=%20d", STRICT)
    assert target == Target("https", "tickets.example.com", 8443, "/a/b?c=%20d")
    assert target.authority == "tickets.example.com:8443"
    assert target.at("2606:4700::1111") == "https://[2606:4700::1111]:8443/a/b?c=%20d"
    bare = parse_target("https://[2606:4700::1111]", STRICT)
    assert bare.authority == "[2606:4700::1111]"
    assert bare.at("127.0.0.1") == "https://127.0.0.1:443/"


async def test_local_installations_may_call_themselves() -> None:
    for url in ("http://127.0.0.1:20080/hook", "http://localhost/", "https://[::1]:1024/"):
        target = parse_target(url, LOCAL)
        assert await checked_addresses(target, LOCAL, Names(localhost=["127.0.0.1"]))
    with pytest.raises(UnsafeUrl):
        parse_target("http://127.0.0.1:22/", LOCAL)
