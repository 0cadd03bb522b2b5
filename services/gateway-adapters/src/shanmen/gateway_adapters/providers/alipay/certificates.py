"""Certificate mode: the numbers that name certificates, and the keys that are believed.

In this mode a request names the application's certificate and Alipay's root bundle, and an answer
names the Alipay certificate it was signed with (Alipay OpenAPI, "公钥证书方式").
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from shanmen.gateway_adapters.providers.rsa2 import UnusableKey

_PEM_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_RSA_SIGNATURES: Final = "1.2.840.113549.1.1."  # the OID arc of PKCS#1


@dataclass(frozen=True)
class TrustedKeys:
    """Whose signatures are believed: one plain public key, or certificates by their number."""

    plain: RSAPublicKey | None = field(default=None, repr=False)
    by_certificate: Mapping[str, RSAPublicKey] = field(default_factory=dict, repr=False)

    def for_answer(self, certificate_sn: str | None) -> tuple[RSAPublicKey, ...]:
        """The keys an answer may be signed by: none if it names a certificate we do not hold."""
        if self.plain is not None:
            return (self.plain,)
        key = self.by_certificate.get(certificate_sn or "")
        return () if key is None else (key,)

    def for_notification(self, certificate_sn: str | None) -> tuple[RSAPublicKey, ...]:
        """Like `for_answer`; one that names no certificate may be signed by any we hold."""
        if self.plain is None and certificate_sn is None:
            return tuple(self.by_certificate.values())
        return self.for_answer(certificate_sn)


def certificate_sn(certificate: x509.Certificate) -> str:
    """The number of a certificate: MD5 of the issuer (`CN=..,OU=..,O=..,C=..`) and the serial.

    MD5 is the channel's choice of a name, nothing is protected by it.
    """
    named = certificate.issuer.rfc4514_string() + str(certificate.serial_number)
    return hashlib.md5(named.encode(), usedforsecurity=False).hexdigest()


def root_bundle_sn(bundle: str) -> str:
    """The numbers of a root bundle's RSA certificates, joined with `_`.

    Unreadable and SM2 ones are left out, as Alipay does. Raises UnusableKey if none is left.
    """
    numbers = []
    for block in _PEM_BLOCK.findall(bundle):
        try:
            certificate = x509.load_pem_x509_certificate(block.encode())
            if certificate.signature_algorithm_oid.dotted_string.startswith(_RSA_SIGNATURES):
                numbers.append(certificate_sn(certificate))
        except ValueError:
            continue
    if not numbers:
        raise UnusableKey("the root bundle holds no RSA certificate; give alipayRootCert.crt")
    return "_".join(numbers)


def load_certificate(text: str) -> x509.Certificate:
    """Read the first certificate of a PEM text. Raises UnusableKey."""
    try:
        return x509.load_pem_x509_certificate(text.strip().encode())
    except ValueError as error:
        raise UnusableKey("not a PEM certificate") from error


def trust_certificates(texts: Iterable[str]) -> TrustedKeys:
    """Trust the RSA keys of these PEM certificates. Raises UnusableKey."""
    keys: dict[str, RSAPublicKey] = {}
    for certificate in map(load_certificate, texts):
        key = certificate.public_key()
        if not isinstance(key, RSAPublicKey):
            raise UnusableKey(
                "an Alipay certificate must hold an RSA key (alipayCertPublicKey_RSA2)"
            )
        keys[certificate_sn(certificate)] = key
    return TrustedKeys(by_certificate=keys)
