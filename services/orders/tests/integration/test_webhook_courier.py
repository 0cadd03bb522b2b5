"""One webhook over a real connection: its signatures, its certificate, and where it never goes."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from shanmen.orders.errors import UnsafeUrl
from shanmen.orders.ports.addresses import UrlRules
from shanmen.orders.ports.webhooks import Answer, HttpCourier, Parcel, new_secret, open_courier

if TYPE_CHECKING:
    from services.orders.tests.integration.conftest import OpenReceiver, Receiver

NAME: Final = "tickets.example.com"
LOCAL: Final = UrlRules(allow_high_ports=True, allow_http=True, allow_private=True)
BODY: Final = '{"data":{"spot":"黄山"}}'.encode()


class Names:
    """A resolver whose every name leads to these addresses, one list per look-up."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)

    async def __call__(self, _: str) -> Sequence[str]:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def parcel_to(url: str, *secrets: str) -> Parcel:
    """A notice."""
    return Parcel(url, "whe_1", BODY, secrets or (new_secret(),))


@pytest.fixture
async def courier() -> AsyncIterator[HttpCourier]:
    """A courier of a local installation, which is not patient."""
    async with open_courier(LOCAL, timeout_s=0.3) as opened:
        yield opened


async def test_a_parcel_arrives_signed(courier: HttpCourier, receiver: "Receiver") -> None:
    secrets = new_secret(), new_secret()
    answer = await courier.deliver(parcel_to(receiver.url, *secrets))
    assert answer == Answer(204, "HTTP 204")
    (request,) = receiver.requests
    assert request.line == "POST /hook?of=us HTTP/1.1"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["content-type"] == "application/json"
    assert (request.headers["webhook-id"], request.body) == ("whe_1", BODY)
    for secret in secrets:
        assert request.verified(secret) == {"data": {"spot": "黄山"}}
    with pytest.raises(WebhookVerificationError):
        request.verified(new_secret())
    with pytest.raises(WebhookVerificationError):
        Webhook(secrets[0]).verify(request.body + b" ", request.headers)


async def test_no_redirect_is_followed(
    courier: HttpCourier, open_receiver: "OpenReceiver"
) -> None:
    receiver, inside = await open_receiver(), await open_receiver()
    for status in (301, 302, 307, 308):
        receiver.statuses, receiver.headers = [status], f"Location: {inside.url}\r\n"
        answer = await courier.deliver(parcel_to(receiver.url))
        assert (answer.status, answer.is_success) == (status, False)
    assert inside.connections == 0


async def test_whatever_goes_wrong_is_an_answer(
    courier: HttpCourier, receiver: "Receiver", free_port: Callable[[], int]
) -> None:
    receiver.held_up.clear()
    assert await courier.deliver(parcel_to(receiver.url)) == Answer(None, "no answer within 0.3 s")
    nobody = f"http://127.0.0.1:{free_port()}/"
    assert await courier.deliver(parcel_to(nobody)) == Answer(None, "cannot connect")
    spoken_to_in_tls = receiver.url.replace("http:", "https:")
    assert (await courier.deliver(parcel_to(spoken_to_in_tls))).status is None
    wrong = await courier.deliver(parcel_to("http://[::1/"))
    assert wrong == Answer(None, "not sent: This is not a URL.")


async def test_a_receiver_that_drips_is_left_in_time(
    courier: HttpCourier, free_port: Callable[[], int]
) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        try:
            while not reader.at_eof():
                writer.write(b"X-Slow: yes\r\n")
                await writer.drain()
                await asyncio.sleep(0.02)
        except OSError:
            pass  # the caller has gone
        finally:
            writer.close()

    port = free_port()
    async with await asyncio.start_server(drip, "127.0.0.1", port):
        answer = await courier.deliver(parcel_to(f"http://127.0.0.1:{port}/"))
    assert answer == Answer(None, "no answer within 0.3 s")


async def test_nothing_inside_is_connected_to(receiver: "Receiver") -> None:
    """Not by address, not by name, and not by a name that has changed since it was checked."""
    rules = UrlRules(ports=frozenset({receiver.port}), allow_http=True)
    rebound = Names(["8.8.8.8"], ["127.0.0.1"])
    async with open_courier(rules, timeout_s=0.3, resolve=rebound) as strict:
        await strict.check(f"http://{NAME}:{receiver.port}/")
        for host in (NAME, "127.0.0.1", "localhost"):
            answer = await strict.deliver(parcel_to(f"http://{host}:{receiver.port}/"))
            assert answer == Answer(None, f"not sent: {host} is not on the public internet.")
            with pytest.raises(UnsafeUrl):
                await strict.check(f"http://{host}:{receiver.port}/")
    assert receiver.connections == 0


async def test_the_certificate_is_checked_against_the_name(
    open_receiver: "OpenReceiver", tmp_path: Path
) -> None:
    """We connect to an address; what we accept there is whoever can prove to have the name."""
    server_side, client_side = tls_of(NAME, tmp_path)
    receiver = await open_receiver(server_side)
    local = Names(["127.0.0.1"])
    async with open_courier(LOCAL, timeout_s=5, resolve=local, tls=client_side) as courier:
        answer = await courier.deliver(parcel_to(f"https://{NAME}:{receiver.port}/"))
        assert answer == Answer(204, "HTTP 204")
        assert receiver.requests[0].headers["host"] == f"{NAME}:{receiver.port}"
        for host in ("other.example.com", "127.0.0.1"):
            answer = await courier.deliver(parcel_to(f"https://{host}:{receiver.port}/"))
            assert answer == Answer(None, "cannot connect")
    assert len(receiver.requests) == 1


async def test_the_next_address_is_tried_when_one_takes_no_connection(
    receiver: "Receiver",
) -> None:
    names = Names(["127.0.0.2", "127.0.0.1"])
    async with open_courier(LOCAL, timeout_s=5, resolve=names) as courier:
        answer = await courier.deliver(parcel_to(f"http://{NAME}:{receiver.port}/"))
    assert (answer.status, len(receiver.requests)) == (204, 1)


def tls_of(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The two sides of a connection to whoever has a certificate for `name`."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + pem
    )
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(file)
    return server_side, ssl.create_default_context(cadata=pem.decode())
