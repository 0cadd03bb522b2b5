"""Certificate mode of the client, over a transport that answers from memory."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from shanmen.common.clock import SystemClock
from shanmen.gateway_adapters.providers.alipay.certificates import certificate_sn
from shanmen.gateway_adapters.providers.alipay.client import AlipayClient
from shanmen.gateway_adapters.providers.alipay.outcomes import Method
from shanmen.gateway_adapters.providers.alipay.settings import AlipaySettings
from shanmen.gateway_adapters.providers.calls import AnswerUnverifiable
from shanmen.gateway_adapters.providers.transport import RawAnswer, Timeout

OUR_KEY, FIRST_KEY, NEXT_KEY = (
    rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(3)
)


def certificate(key: rsa.RSAPrivateKey, serial: int) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ant Financial Authority")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )


OURS, FIRST, NEXT = certificate(OUR_KEY, 1), certificate(FIRST_KEY, 2), certificate(NEXT_KEY, 3)


def settings(*trusted: x509.Certificate) -> AlipaySettings:
    def pem(held: x509.Certificate) -> str:
        return held.public_bytes(Encoding.PEM).decode()

    return AlipaySettings.model_validate(
        {
            "app_id": "2021",
            "platform_user_id": "2088000000000001",
            "app_private_key": OUR_KEY.private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ).decode(),
            "app_certificate": pem(OURS),
            "alipay_certificates": [pem(held) for held in trusted],
            "alipay_root_certificates": pem(FIRST) + pem(NEXT),
        }
    )


class Memory:
    """A transport that always gives the same answer and keeps what it was sent."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.params: dict[str, str] = {}

    async def post(
        self, url: str, params: Mapping[str, str], body: bytes, limits: Timeout
    ) -> RawAnswer:
        assert (url, body) == ("https://openapi.alipay.com/gateway.do", b"biz_content=%7B%7D")
        assert limits == Timeout(3, 15)
        self.params = dict(params)
        return RawAnswer(200, self.body)

    async def get(self, url: str, limits: Timeout, *, limit_bytes: int) -> RawAnswer:
        raise AssertionError(f"nothing asks for {url}")

    async def aclose(self) -> None:
        """Nothing to close."""


def answer(key: rsa.RSAPrivateKey, number: str | None) -> bytes:
    node = b'{"code":"10000"}'
    signature = base64.b64encode(key.sign(node, padding.PKCS1v15(), hashes.SHA256())).decode()
    named = "" if number is None else f'"alipay_cert_sn":"{number}",'
    return (
        f'{{"alipay_trade_query_response":{node.decode()},{named}"sign":"{signature}"}}'.encode()
    )


async def test_a_request_names_our_certificate_and_the_roots_and_signs_both() -> None:
    memory = Memory(answer(FIRST_KEY, certificate_sn(FIRST)))
    client = AlipayClient(settings(FIRST), SystemClock(), memory)
    assert (await client.call(Method.QUERY, {})).text("code") == "10000"
    assert memory.params["app_cert_sn"] == certificate_sn(OURS)
    roots = f"{certificate_sn(FIRST)}_{certificate_sn(NEXT)}"
    assert memory.params["alipay_root_cert_sn"] == roots
    signature = base64.b64decode(memory.params.pop("sign"))
    params = {**memory.params, "biz_content": "{}"}
    content = "&".join(f"{name}={params[name]}" for name in sorted(params)).encode()
    OUR_KEY.public_key().verify(signature, content, padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(
    ("key", "number", "kind"),
    [
        (NEXT_KEY, certificate_sn(NEXT), None),
        (NEXT_KEY, certificate_sn(FIRST), "bad_signature"),
        (OUR_KEY, certificate_sn(OURS), "unknown_certificate"),
        (NEXT_KEY, None, "unknown_certificate"),
        (NEXT_KEY, "", "unknown_certificate"),
    ],
)
async def test_only_the_certificate_that_is_named_and_held_is_believed(
    key: rsa.RSAPrivateKey, number: str | None, kind: str | None
) -> None:
    client = AlipayClient(settings(FIRST, NEXT), SystemClock(), Memory(answer(key, number)))
    if kind is None:
        assert (await client.call(Method.QUERY, {})).text("code") == "10000"
        return
    with pytest.raises(AnswerUnverifiable) as doubt:
        await client.call(Method.QUERY, {})
    assert doubt.value.kind == kind
    assert doubt.value.raw
