"""What docker-compose.yml starts can be started, and is told what it needs to know."""

import ast
import importlib.util
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from shanmen.common.app import create_app
from shanmen.common.service import Service
from shanmen.common.settings import ServiceSettings
from shanmen.common.worker import UNWELL_AFTER_S, main
from shanmen.gateway_adapters.settings import GatewaySettings
from shanmen.platform.services import MODULES, SERVICES
from shanmen.simulators.alipay import app as alipay
from shanmen.simulators.huijinbao import app as huijinbao
from shanmen.simulators.settings import Settings
from shanmen.simulators.sms import app as sms

Container = Mapping[str, Any]

SIMULATED_CHANNELS: Final = {"alipay": alipay, "huijinbao": huijinbao}
CONTAINER_OF: Final = {"api": "", "worker": "-worker", "migrate": "-migrations"}
HEALTH_URL: Final = re.compile(r"'(http://127\.0\.0\.1:(\d+)(/[^']*))'")


@pytest.fixture(params=SERVICES, ids=lambda service: service.name)
def service(request: pytest.FixtureRequest) -> Service[Any, Any]:
    """Each service in turn."""
    found: Service[Any, Any] = request.param
    return found


@pytest.fixture
def given_environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment with nothing in it but what a test puts there."""
    given: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", given)
    return given


def test_every_service_runs_as_api_worker_and_migrations(
    service: Service[Any, Any], containers: Mapping[str, Container]
) -> None:
    for process, suffix in CONTAINER_OF.items():
        container = containers[f"{service.name}{suffix}"]
        module = MODULES[service.name]
        assert container["command"] == ["python", "-m", module, process]
        assert importlib.util.find_spec(module) is not None
        assert container["build"]["args"] == {"SERVICE": service.name}
        assert container["environment"] == containers[service.name]["environment"]


def test_there_are_no_other_processes(processes: Mapping[str, Container]) -> None:
    ours = {f"{service.name}{suffix}" for service in SERVICES for suffix in CONTAINER_OF.values()}
    simulators = {*SIMULATED_CHANNELS, *(f"{name}-seed" for name in SIMULATED_CHANNELS), "sms"}
    assert processes.keys() - ours == simulators


def test_a_process_word_that_nobody_knows_is_refused(service: Service[Any, Any]) -> None:
    """So that the words above are known to be processes, the health check's among them."""
    with pytest.raises(SystemExit) as ended:
        main(service, ["apis"])
    assert ended.value.code == 2


def test_the_environment_is_what_the_service_wants_to_know(
    service: Service[Any, Any],
    containers: Mapping[str, Container],
    given_environment: dict[str, str],
) -> None:
    fields: dict[str, Any] = service.settings.model_fields
    told = containers[service.name]["environment"]
    given_environment |= told
    assert {name for name in told if name.lower() not in fields} == set(), "nobody reads these"
    needed = {name.upper() for name, field in fields.items() if field.is_required()}
    assert needed <= told.keys()

    settings: ServiceSettings = service.settings()

    assert (settings.host, settings.port) == ("0.0.0.0", 8000)  # noqa: S104 - in a container
    assert settings.model_fields_set == {name.lower() for name in told}
    database = urlsplit(settings.database_url.get_secret_value())
    own = f"shanmen_{service.name.replace('-', '_')}"
    assert (database.username, database.hostname, database.path) == (own, "postgres", f"/{own}")
    broker = urlsplit(settings.amqp_url.get_secret_value())
    assert (broker.username, broker.hostname, broker.path) == (
        service.name,
        "rabbitmq",
        "/shanmen",
    )


@pytest.mark.parametrize("channel", ["alipay", "huijinbao"])
def test_null_switches_a_channel_off(
    channel: str, containers: Mapping[str, Container], given_environment: dict[str, str]
) -> None:
    told = containers["gateway-adapters"]["environment"]
    given_environment |= told | {channel.upper(): "null"}
    settings = GatewaySettings()
    kept = {"alipay": settings.alipay, "huijinbao": settings.huijinbao}
    assert [name for name, value in kept.items() if value is None] == [channel]


@pytest.mark.parametrize(
    ("setting", "owner"), [("catalog_url", "catalog"), ("gateway_url", "gateway-adapters")]
)
def test_clients_find_a_service_where_it_listens(
    containers: Mapping[str, Container], setting: str, owner: str
) -> None:
    asking = [one for one in SERVICES if setting in one.settings.model_fields]
    assert asking
    for service in asking:
        environment = containers[service.name]["environment"]
        port = containers[owner]["environment"]["PORT"]
        assert environment[setting.upper()] == f"http://{owner}:{port}"


def test_an_api_is_asked_for_its_health_where_it_tells_it(
    service: Service[Any, Any], containers: Mapping[str, Container]
) -> None:
    container = containers[service.name]
    port, path = _asked(container)
    assert port == container["environment"]["PORT"]
    assert path in _paths(create_app(service))


def test_simulators_are_asked_for_their_health_where_they_tell_it(
    containers: Mapping[str, Container],
) -> None:
    own_paths = {
        "sms": _paths(sms.create_app(sms.Settings(data_dir=Path("unused"), secret="unused"))),
        **{
            name: _paths(channel.create_app(Settings(data_dir=Path("unused"))))
            for name, channel in SIMULATED_CHANNELS.items()
        },
    }
    for name, paths in own_paths.items():
        command = containers[name]["command"]
        assert importlib.util.find_spec(f"{command[2]}.__main__") is not None
        port, path = _asked(containers[name])
        assert command[command.index("--port") + 1] == port
        assert path in paths


def test_a_worker_is_well_while_its_heartbeat_is_young(
    service: Service[Any, Any],
    containers: Mapping[str, Container],
    given_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """The very command of the health check, on this worker's own environment."""
    container = containers[f"{service.name}-worker"]
    marker, python, flag, module, word = container["healthcheck"]["test"]
    assert [marker, python, flag, module] == ["CMD", "python", "-m", MODULES[service.name]]
    writable = Path(container["environment"]["HEARTBEAT_FILE"]).parent
    assert any(mount.startswith(f"{writable}:") for mount in container["tmpfs"])
    beat = tmp_path / "heartbeat"
    given_environment |= {**container["environment"], "HEARTBEAT_FILE": str(beat)}

    with pytest.raises(SystemExit):
        main(service, [word])
    beat.touch()
    main(service, [word])
    long_ago = beat.stat().st_mtime - UNWELL_AFTER_S - 1
    os.utime(beat, (long_ago, long_ago))
    with pytest.raises(SystemExit):
        main(service, [word])


def test_the_database_has_room_for_every_pool(
    containers: Mapping[str, Container], processes: Mapping[str, Container]
) -> None:
    pool = ServiceSettings.model_fields["database_pool"].default
    holders = [name for name, one in processes.items() if "DATABASE_URL" in one["environment"]]
    words = " ".join(containers["postgres"]["command"])
    limit = re.search(r"max_connections=(\d+)", words)
    assert limit is not None
    assert int(limit[1]) >= len(holders) * (pool + 1) + 10


def _asked(container: Container) -> tuple[str, str]:
    """The port and the path that a health check written in Python asks."""
    marker, python, flag, code = container["healthcheck"]["test"]
    assert (marker, python, flag) == ("CMD", "python", "-c")
    ast.parse(code)
    found = HEALTH_URL.search(code)
    assert found is not None
    return found[2], found[3]


def _paths(app: Starlette) -> set[str]:
    return {route.path for route in app.routes if isinstance(route, Route)}
