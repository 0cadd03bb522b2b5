"""Every container of docker-compose.yml is closed, bounded, watched and pinned."""

import re
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from shutil import which
from typing import Any, Final

import yaml
from jsonschema import Draft202012Validator

from shanmen.common.serving import DRAIN_S
from shanmen.platform.servers.ports import DEFAULT_PORTS

Container = Mapping[str, Any]

ONE_SHOT: Final = re.compile(r"-(migrations|seed)$")
WORDS: Final = {"type": "array", "items": {"type": "string"}, "minItems": 1}
IMAGE: Final = r"^([a-z-]+/)?[a-z-]+:\d+\.\d+(\.\d+)?(-[a-z]+)?(@sha256:[0-9a-f]{64})?$"
"""A version and never `latest`; never the address of a registry."""

CONTAINER: Final = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        *("image", "user", "cap_drop", "security_opt", "read_only", "tmpfs", "restart"),
        *("mem_limit", "cpus", "pids_limit", "stop_grace_period", "logging"),
    ],
    "properties": {
        "image": {"pattern": IMAGE},
        "build": {"type": "object"},
        "user": {"pattern": r"^[1-9]\d*:[1-9]\d*$"},
        "cap_drop": {"const": ["ALL"]},
        "security_opt": {"const": ["no-new-privileges:true"]},
        "read_only": {"const": True},
        "init": {"const": True},
        "tmpfs": {"type": "array", "items": {"pattern": r"^/[\w/]+:size=\d+m,mode=\d{4}"}},
        "restart": {"enum": ["unless-stopped", "no"]},
        "mem_limit": {"pattern": r"^\d+[mg]$"},
        "cpus": {"type": "number", "maximum": 2},
        "pids_limit": {"type": "integer", "maximum": 1024},
        "shm_size": {"pattern": r"^\d+m$"},
        "logging": {
            "type": "object",
            "required": ["options"],
            "properties": {"options": {"type": "object", "required": ["max-size", "max-file"]}},
        },
        "stop_grace_period": {"pattern": r"^\d+[sm]$"},
        "healthcheck": {
            "type": "object",
            "additionalProperties": False,
            "required": ["test", "interval", "timeout", "retries", "start_period"],
            "properties": {
                "test": {**WORDS, "prefixItems": [{"const": "CMD"}]},
                "interval": {"pattern": r"^\d+s$"},
                "timeout": {"pattern": r"^\d+s$"},
                "retries": {"type": "integer", "minimum": 1},
                "start_period": {"pattern": r"^\d+s$"},
            },
        },
        "entrypoint": WORDS,
        "command": WORDS,
        "environment": {"type": "object", "additionalProperties": {"type": "string"}},
        "volumes": {"items": {"pattern": r"^([a-z-]+:/[\w/]+|\./deploy/\S+:/\S+:ro)$"}},
        "networks": WORDS,
        "network_mode": {"const": "none"},
        "hostname": {"type": "string"},
        "ports": WORDS,
        "profiles": WORDS,
        "depends_on": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["condition"],
                "properties": {
                    "condition": {"enum": ["service_healthy", "service_completed_successfully"]}
                },
            },
        },
    },
}


def test_every_container_is_closed_bounded_and_pinned(
    containers: Mapping[str, Container],
) -> None:
    validator = Draft202012Validator(CONTAINER)
    wrong = [
        f"{name}: {error.json_path} {error.message}"
        for name, container in containers.items()
        for error in validator.iter_errors(container)
    ]
    assert not wrong


def test_what_keeps_running_is_watched_and_started_again(
    containers: Mapping[str, Container],
) -> None:
    for name, container in containers.items():
        is_one_shot = ONE_SHOT.search(name) is not None
        assert ("healthcheck" in container) != is_one_shot, name
        assert (container["restart"] == "no") == is_one_shot, name


def test_containers_wait_for_containers_that_can_come(
    containers: Mapping[str, Container],
) -> None:
    for name, container in containers.items():
        for needed, how in container.get("depends_on", {}).items():
            reached = (
                "service_completed_successfully" if ONE_SHOT.search(needed) else "service_healthy"
            )
            assert how["condition"] == reached, f"{name} waits for {needed}"
            # One that is not of every installation would never come in the others.
            assert containers[needed].get("profiles") in (None, container.get("profiles")), name


def test_stopping_leaves_time_to_drain(
    containers: Mapping[str, Container], processes: Mapping[str, Container]
) -> None:
    for name in (*processes, "edge"):
        grace = containers[name]["stop_grace_period"]
        assert grace.endswith("s"), name
        assert int(grace[:-1]) > DRAIN_S, name


def test_only_the_edge_is_reached_from_outside_and_only_from_this_machine(
    containers: Mapping[str, Container], compose: Mapping[str, Any]
) -> None:
    published = {name: one["ports"] for name, one in containers.items() if "ports" in one}
    assert published == {"edge": [f"127.0.0.1:{DEFAULT_PORTS['SHANMEN_PORT']}:8080"]}

    is_open = {name for name, network in compose["networks"].items() if not network}
    assert {net for net in compose["networks"] if net not in is_open} == {"services", "data"}
    assert all(compose["networks"][name] == {"internal": True} for name in ("services", "data"))
    members = {
        network: {name for name, one in containers.items() if network in one.get("networks", [])}
        for network in compose["networks"]
    }
    assert members["outside"] == {"edge"}
    reach_out = ("gateway-adapters", "gateway-adapters-worker", "orders", "orders-worker")
    assert members["outgoing"] == {*reach_out}, "channels, and distributors' webhooks"
    assert {"postgres", "rabbitmq"} <= members["data"]
    assert members["data"].isdisjoint({"edge", "alipay", "huijinbao", "sms"})
    assert members["services"].isdisjoint({"postgres", "rabbitmq"})


def test_every_container_has_a_network_or_is_cut_off(
    containers: Mapping[str, Container], compose: Mapping[str, Any]
) -> None:
    for name, container in containers.items():
        assert ("networks" in container) != (container.get("network_mode") == "none"), name
        assert set(container.get("networks", [])) <= set(compose["networks"]), name


def test_what_is_mounted_exists(
    containers: Mapping[str, Container], compose: Mapping[str, Any], root: Path
) -> None:
    for name, container in containers.items():
        for source, *_ in (volume.split(":") for volume in container.get("volumes", [])):
            if source.startswith("./"):
                assert (root / source).is_file(), f"{name} mounts {source}"
            else:
                assert source in compose["volumes"], f"{name} mounts {source}"


def test_our_images_carry_the_version_of_what_is_in_them(
    processes: Mapping[str, Container], root: Path
) -> None:
    for name, container in processes.items():
        service = container["build"]["args"]["SERVICE"]
        folder = root / ("simulators" if service == "simulators" else f"services/{service}")
        project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
        assert container["image"] == f"shanmen/{service}:{project['version']}", name
        assert project["name"] == f"shanmen-{service}", name
        assert container["build"]["dockerfile"] == "deploy/Dockerfile"


def test_compose_reads_the_file_as_we_do(
    compose: Mapping[str, Any],
    containers: Mapping[str, Container],
    env_file: Path,
    interpolate: Any,
    root: Path,
) -> None:
    """Each Compose that is installed is asked; where there is none, our own reading has to do."""
    assert {key for key in compose if not key.startswith("x-")} == {
        *("services", "networks", "volumes")
    }
    for command in installed_composes():
        printed = subprocess.run(
            [*command, "--env-file", str(env_file), "--profile", "simulators", "config"],
            check=False,
            capture_output=True,
            encoding="utf-8",
            cwd=root,
        )
        assert printed.returncode == 0, printed.stderr
        services = interpolate(yaml.safe_load(printed.stdout)["services"], {})  # `$$` is `$`
        assert services.keys() == containers.keys()
        for name, container in containers.items():
            for key in ("image", "user", "command", "environment", "tmpfs", "read_only"):
                assert services[name].get(key) == container.get(key), f"{name}: {key}"


def installed_composes() -> list[list[str]]:
    """How Compose is called on this machine, in each of its versions."""
    found = []
    if which("docker-compose"):
        found.append(["docker-compose"])
    docker = which("docker")
    if docker is not None:
        asked = subprocess.run([docker, "compose", "version"], check=False, capture_output=True)
        if asked.returncode == 0:
            found.append([docker, "compose"])
    return found
