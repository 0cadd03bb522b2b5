"""Settings refuse what would only fail later, and never show a key."""

from typing import Any

import pytest
from pydantic import ValidationError

from shanmen.gateway_adapters.providers.huijinbao.settings import HuijinbaoSettings


def test_what_is_usual(huijinbao_values: dict[str, Any]) -> None:
    for name in ("read_timeout_s", "connect_timeout_s", "notify_url", "wealth_product_code"):
        del huijinbao_values[name]
    settings = HuijinbaoSettings.model_validate(huijinbao_values)
    assert (settings.connect_timeout_s, settings.read_timeout_s) == (3, 15)
    assert settings.redeem_mode == "FAST"
    assert settings.product_code("prd_1") is None
    assert set(settings.trusted_keys()) == {"h1", "h2"}


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"private_key": "not a key"}, "RSA private key"),
        ({"channel_public_keys": {}}, "channel_public_keys"),
        ({"channel_public_keys": {"h1": "not a key"}}, "RSA public key"),
        ({"channel_public_keys": {"": "x"}}, "channel_public_keys"),
        ({"base_url": "huijinbao.example"}, "base_url"),
        ({"platform_cst_no": ""}, "platform_cst_no"),
        ({"merchant_id": "M 1"}, "merchant_id"),
        ({"redeem_mode": "SLOW"}, "redeem_mode"),
        ({"wealth_product_codes": {"prd_1": ""}}, "wealth_product_codes"),
        ({"read_timeout_s": 0}, "read_timeout_s"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_setting_is_named_without_showing_a_key(
    huijinbao_values: dict[str, Any], changes: dict[str, object], advice: str
) -> None:
    with pytest.raises(ValidationError, match=advice) as refusal:
        HuijinbaoSettings.model_validate({**huijinbao_values, **changes})
    secret = huijinbao_values["private_key"].splitlines()[2]
    assert "input_value" not in str(refusal.value)
    assert secret not in str(refusal.value)


def test_settings_never_show_a_key(huijinbao_values: dict[str, Any]) -> None:
    settings = HuijinbaoSettings.model_validate(huijinbao_values)
    shown = f"{settings!r} {settings} {settings.model_dump()}"
    assert huijinbao_values["private_key"].splitlines()[2] not in shown
    assert huijinbao_values["channel_public_keys"]["h1"].splitlines()[2] not in repr(settings)
