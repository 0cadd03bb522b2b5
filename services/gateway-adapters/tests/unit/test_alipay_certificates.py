"""Certificate numbers, against the community SDK's certificate mode, and which key is believed."""

from datetime import UTC, datetime, timedelta

import pytest
from alipay import DCAliPay
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from shanmen.gateway_adapters.providers.alipay import certificates
from shanmen.gateway_adapters.providers.rsa2 import UnusableKey

# The community SDK reads certificates through an interface that pyOpenSSL has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:X509.get_issuer:DeprecationWarning")

ALIPAY_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE_KEY = ec.generate_private_key(ec.SECP256R1())


def issue(
    name: str, serial: int, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Ant Financial"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Certification Authority"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


FIRST = issue("Ant Financial Certification Authority R1", 2**70 + 1, ALIPAY_KEY)
SECOND = issue("Ant Financial Certification Authority Class 1", 7, ALIPAY_KEY)
CURVE = issue("Ant Financial SM2 Authority", 9, CURVE_KEY)


def test_a_certificate_number_is_theirs() -> None:
    for certificate in (FIRST, SECOND):
        assert certificates.certificate_sn(certificate) == DCAliPay.get_cert_sn(pem(certificate))


def test_the_root_number_joins_the_rsa_certificates_and_leaves_out_the_rest() -> None:
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    bundle = "\n".join([pem(FIRST), pem(CURVE), broken, pem(SECOND)])
    expected = f"{certificates.certificate_sn(FIRST)}_{certificates.certificate_sn(SECOND)}"
    assert certificates.root_bundle_sn(bundle) == expected
    theirs = DCAliPay.get_root_cert_sn("\n".join([pem(FIRST), pem(CURVE), pem(SECOND)]))
    assert theirs == expected


def test_a_root_bundle_without_rsa_is_refused() -> None:
    for bundle in ("", pem(CURVE)):
        with pytest.raises(UnusableKey, match="alipayRootCert"):
            certificates.root_bundle_sn(bundle)


def test_only_the_named_certificate_is_believed() -> None:
    trusted = certificates.trust_certificates([pem(FIRST), pem(SECOND)])
    (key,) = trusted.for_answer(certificates.certificate_sn(SECOND))
    assert key.public_numbers() == ALIPAY_KEY.public_key().public_numbers()
    assert trusted.for_answer("0" * 32) == ()
    assert trusted.for_answer(None) == ()
    assert trusted.for_notification("0" * 32) == ()
    assert len(trusted.for_notification(None)) == 2


def test_no_keys_at_all_believe_nothing() -> None:
    assert certificates.TrustedKeys().for_answer(None) == ()
    assert certificates.TrustedKeys().for_notification(None) == ()


def test_a_certificate_without_an_rsa_key_is_refused() -> None:
    with pytest.raises(UnusableKey):
        certificates.trust_certificates([pem(CURVE)])
    with pytest.raises(UnusableKey):
        certificates.trust_certificates(["not a certificate"])
