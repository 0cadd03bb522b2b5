"""Settings refuse what would only fail later, and never show a key."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from shanmen.gateway_adapters.providers.alipay.settings import AlipaySettings

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
CERTIFICATE = (
    x509.CertificateBuilder()
    .subject_name(NAME)
    .issuer_name(NAME)
    .public_key(KEY.public_key())
    .serial_number(1)
    .not_valid_before(datetime.now(UTC))
    .not_valid_after(datetime.now(UTC) + timedelta(days=1))
    .sign(KEY, hashes.SHA256())
    .public_bytes(Encoding.PEM)
    .decode()
)
BASE = {"app_id": "2021", "platform_user_id": "2088000000000001", "app_private_key": PRIVATE}
PLAIN = {**BASE, "alipay_public_key": PUBLIC}
CERTIFIED = {
    **BASE,
    "app_certificate": CERTIFICATE,
    "alipay_certificates": [CERTIFICATE],
    "alipay_root_certificates": CERTIFICATE,
}


def test_the_plain_mode_adds_nothing_to_a_request() -> None:
    settings = AlipaySettings.model_validate(PLAIN)
    assert not settings.certificate_mode
    assert settings.certificate_params() == {}
    assert settings.trusted_keys().plain is not None
    assert (settings.connect_timeout_s, settings.read_timeout_s) == (3, 15)


def test_the_certificate_mode_names_its_certificates() -> None:
    settings = AlipaySettings.model_validate(CERTIFIED)
    assert settings.certificate_mode
    params = settings.certificate_params()
    assert set(params) == {"app_cert_sn", "alipay_root_cert_sn"}
    assert params["app_cert_sn"] in settings.trusted_keys().by_certificate


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        (BASE, "either alipay_public_key or"),
        ({**CERTIFIED, "alipay_public_key": PUBLIC}, "either alipay_public_key or"),
        ({**CERTIFIED, "app_certificate": None}, "needs app_certificate"),
        ({**CERTIFIED, "alipay_root_certificates": None}, "needs app_certificate"),
        ({**PLAIN, "app_private_key": PUBLIC}, "RSA private key"),
        ({**PLAIN, "alipay_public_key": PRIVATE}, "RSA public key"),
        ({**PLAIN, "platform_user_id": "13800138000"}, "platform_user_id"),
        ({**PLAIN, "read_timeout_s": 0}, "read_timeout_s"),
        ({**PLAIN, "surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_setting_is_named_without_showing_a_key(
    values: dict[str, object], advice: str
) -> None:
    with pytest.raises(ValidationError, match=advice) as refusal:
        AlipaySettings.model_validate(values)
    assert "input_value" not in str(refusal.value)
    for secret in (PRIVATE, PUBLIC, CERTIFICATE):
        assert secret.splitlines()[2] not in str(refusal.value)


def test_settings_never_show_a_key() -> None:
    for values in (PLAIN, CERTIFIED):
        settings = AlipaySettings.model_validate(values)
        shown = f"{settings!r} {settings} {settings.trusted_keys()!r} {settings.model_dump()}"
        assert PRIVATE.splitlines()[2] not in shown
        assert CERTIFICATE.splitlines()[2] not in repr(settings)
