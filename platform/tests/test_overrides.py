"""Settings that tests override: merged into the local ones, and checked by name."""

import pytest

from shanmen.platform.overrides import (
    VARIABLE,
    BadOverrides,
    overridden,
    overrides_from_environment,
)


def test_without_the_variable_nothing_is_overridden() -> None:
    assert overrides_from_environment({}) == {}


def test_an_override_replaces_a_value_and_goes_into_an_object() -> None:
    given = overrides_from_environment(
        {VARIABLE: '{"gateway-adapters": {"absent_grace_s": 0.05, "alipay": {"app_id": "2"}}}'}
    )
    local = {"absent_grace_s": 3.0, "port": 1, "alipay": {"app_id": "1", "read_timeout_s": 5}}

    assert overridden(local, given["gateway-adapters"]) == {
        "absent_grace_s": 0.05,
        "port": 1,
        "alipay": {"app_id": "2", "read_timeout_s": 5},
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON"),
        ("[]", "must be an object of objects"),
        ('{"orders": 1}', "must be an object of objects"),
        ('{"order": {}}', "names no service 'order'. There are: catalog, orders"),
        ('{"orders": {"deadline_sweep": 1}}', "orders has no setting 'deadline_sweep'"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(text: str, reason: str) -> None:
    with pytest.raises(BadOverrides, match=reason):
        overrides_from_environment({VARIABLE: text})
