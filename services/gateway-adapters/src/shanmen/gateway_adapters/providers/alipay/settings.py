"""The Alipay channel's settings: where, as whom, with which keys and products."""

from typing import Annotated, Self

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, SecretStr, model_validator

from shanmen.gateway_adapters.providers import rsa2
from shanmen.gateway_adapters.providers.alipay import certificates
from shanmen.gateway_adapters.providers.alipay.certificates import TrustedKeys

Seconds = Annotated[float, Field(gt=0, le=60)]


class TransferSceneReport(BaseModel):
    """One line of what a transfer scene asks to be reported (转账场景报备信息)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    info_type: str
    info_content: str


class AlipaySettings(BaseModel):
    """How this platform speaks to Alipay.

    Answers are believed either by `alipay_public_key`, or, in certificate mode, by one of
    `alipay_certificates`; certificate mode also needs the application's certificate and Alipay's
    root bundle. Keys are read when the settings are, so a wrong one stops the start.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    gateway_url: AnyHttpUrl = AnyHttpUrl("https://openapi.alipay.com/gateway.do")
    app_id: str = Field(min_length=1, max_length=32)
    app_private_key: SecretStr
    alipay_public_key: str | None = Field(default=None, repr=False)
    app_certificate: str | None = Field(default=None, repr=False)
    alipay_certificates: tuple[str, ...] = Field(default=(), repr=False)
    alipay_root_certificates: str | None = Field(default=None, repr=False)

    platform_user_id: str = Field(pattern=r"^2088\d{12}$")
    """The platform's own account: its balance is what payouts and refunds draw on."""
    seller_id: str | None = Field(default=None, pattern=r"^2088\d{12}$")
    """Who is paid by a debit, if not the merchant that signed."""
    notify_url: AnyHttpUrl | None = None

    connect_timeout_s: Seconds = 3
    read_timeout_s: Seconds = 15
    bill_timeout_s: Seconds = 60
    """How long a bill's file may take to come."""
    connections: int = Field(default=32, ge=1, le=512)

    debit_product_code: str = "GENERAL_WITHHOLDING"
    payout_product_code: str = "TRANS_ACCOUNT_NO_PWD"
    payout_biz_scene: str = "DIRECT_TRANSFER"
    transfer_scene_name: str | None = "业务结算"
    transfer_scene_reports: tuple[TransferSceneReport, ...] = ()

    @model_validator(mode="after")
    def _keys_are_usable(self) -> Self:
        rsa2.load_private_key(self.app_private_key.get_secret_value())
        self.trusted_keys()
        self.certificate_params()
        return self

    @property
    def certificate_mode(self) -> bool:
        """Whether certificates, not a plain key, tell whose answers are believed."""
        return bool(self.alipay_certificates)

    def trusted_keys(self) -> TrustedKeys:
        """Whose signatures are believed. Raises ValueError unless exactly one mode is set up."""
        if self.certificate_mode == bool(self.alipay_public_key):
            raise ValueError(
                "give either alipay_public_key or, for certificate mode, alipay_certificates"
            )
        if self.alipay_public_key:
            return TrustedKeys(plain=rsa2.load_public_key(self.alipay_public_key))
        return certificates.trust_certificates(self.alipay_certificates)

    def certificate_params(self) -> dict[str, str]:
        """What certificate mode adds to every request; empty in plain mode. Raises ValueError."""
        if not self.certificate_mode:
            return {}
        if not self.app_certificate or not self.alipay_root_certificates:
            raise ValueError(
                "certificate mode needs app_certificate and alipay_root_certificates too"
            )
        own = certificates.load_certificate(self.app_certificate)
        return {
            "app_cert_sn": certificates.certificate_sn(own),
            "alipay_root_cert_sn": certificates.root_bundle_sn(self.alipay_root_certificates),
        }
