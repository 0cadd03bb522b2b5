"""What settlement is told from outside."""

import pytest
from pydantic import ValidationError

from shanmen.settlement.settings import SettlementSettings

NEEDED = {"DATABASE_URL": "postgresql+asyncpg://h/d", "SERVICE_TOKEN": "shm_x"}


def settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> SettlementSettings:
    for name, value in {**NEEDED, **variables}.items():
        monkeypatch.setenv(name, value)
    return SettlementSettings()


def test_alipay_pays_out_ten_fen_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch).payout_minimum_fen == {"alipay": 10, "huijinbao": 1}


def test_minimums_are_given_by_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings(monkeypatch, PAYOUT_MINIMUM_FEN='{"alipay": 100}')
    assert given.payout_minimum_fen == {"alipay": 100}


def test_a_minimum_of_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="payout_minimum_fen"):
        settings(monkeypatch, PAYOUT_MINIMUM_FEN='{"alipay": 0}')


def test_what_waits_is_looked_at_every_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch).pay_waiting_s == 60
    assert settings(monkeypatch, PAY_WAITING_S="0.05").pay_waiting_s == 0.05


def test_looking_without_a_pause_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="pay_waiting_s"):
        settings(monkeypatch, PAY_WAITING_S="0")
