"""Ports: which are ours, and what is said when somebody else sits on one."""

import os
import socket
from collections.abc import Iterator

import pytest

from shanmen.platform.servers.errors import PortTaken, ServerError
from shanmen.platform.servers.ports import (
    DEFAULT_PORTS,
    TEST_PORTS,
    free_port,
    holder_of,
    is_free,
    port_from_environment,
    require_free_port,
)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that this process listens on."""
    with socket.socket() as listener:
        port = free_port()
        listener.bind(("127.0.0.1", port))
        listener.listen()
        yield port


def test_a_taken_port_names_its_holder_and_the_setting_that_moves_ours(taken: int) -> None:
    with pytest.raises(PortTaken) as refused:
        require_free_port(taken, "SHANMEN_POSTGRES_PORT")

    message = str(refused.value)
    assert str(taken) in message
    assert f"process {os.getpid()}" in message
    assert "SHANMEN_POSTGRES_PORT=" in message


def test_a_port_taken_on_all_interfaces_is_taken_on_loopback() -> None:
    with socket.socket() as listener:
        port = free_port()
        listener.bind(("0.0.0.0", port))  # noqa: S104 - closed at once, nothing is accepted
        listener.listen()
        assert not is_free(port)


def test_a_port_is_free_again_after_its_holder(taken: int) -> None:
    other = free_port()
    assert other != taken
    assert is_free(other)
    assert holder_of(other) is None
    require_free_port(other, "SHANMEN_POSTGRES_PORT")


def test_ports_lie_below_those_of_outgoing_connections() -> None:
    assert max(DEFAULT_PORTS.values()) < 32_768
    assert TEST_PORTS.stop <= 32_768
    assert len(set(DEFAULT_PORTS.values())) == len(DEFAULT_PORTS)


@pytest.mark.parametrize("text", ["abc", "0", "80", "70000", "-1", "²²²²²"])
def test_a_setting_that_is_no_port_is_refused_by_name(text: str) -> None:
    with pytest.raises(ServerError, match="SHANMEN_POSTGRES_PORT="):
        port_from_environment("SHANMEN_POSTGRES_PORT", {"SHANMEN_POSTGRES_PORT": text})


def test_a_port_comes_from_its_setting_or_is_the_default() -> None:
    assert port_from_environment("SHANMEN_EPMD_PORT", {"SHANMEN_EPMD_PORT": " 23456 "}) == 23_456
    assert port_from_environment("SHANMEN_EPMD_PORT", {}) == DEFAULT_PORTS["SHANMEN_EPMD_PORT"]
