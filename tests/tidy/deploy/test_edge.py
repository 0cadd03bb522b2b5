"""deploy/edge/nginx.conf sends every path where the platform's own edge sends it."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from shanmen.common.http.middleware import MAX_BODY_BYTES
from shanmen.common.http.problem import MEDIA_TYPE, problem_response
from shanmen.common.serving import DRAIN_S
from shanmen.platform.services import SERVICES

LONGEST_WAIT_S: Final = 30
"""`Prefer: wait`, at most."""

MAP: Final = re.compile(r"map \$request_uri \$owner \{(.*?)\n    \}", re.DOTALL)
LINE: Final = re.compile(
    r'^\s*"~(?P<fold>\*?)(?P<pattern>.+)"\s+(?P<owner>[\w-]+|"");$', re.MULTILINE
)
PREFIX: Final = re.compile(r"\^(?P<prefix>[\w/-]+)\(\?=\[/\?\]\|\$\)")
PROBLEM: Final = re.compile(r"location @(\w+) \{([^}]*?)return (\d{3}) '(\{[^']*\})';")

PREFIXES: Final = [(prefix, service.name) for service in SERVICES for prefix in service.prefixes]

NOBODYS: Final = (
    *("/", "/health", "/openapi.json", "/v1", "/v1/", "/v2/orders", "/docs", "/%76%31/orders"),
    *("/internal", "/internal/introspect", "/internal/reservations", "//internal/introspect"),
    "/v1/orders/../../internal/introspect",
    "/v1/orders/./x",
    "/v1/orders/..",
    "/v1/orders/..?a=1",
    "/v1/orders/%2e%2e/%2E%2E/internal/introspect",
    "/v1/orders/..%2f..%2Finternal",
    "/v1/orders/..\\..\\internal",
    "/v1/orders/..%5c..%5Cinternal",
    "/internal/..%2fv1/orders",
    "/v1/orders//x",
    "/internal?/v1/orders",
)


@pytest.fixture(scope="session")
def conf(root: Path) -> str:
    """nginx's configuration."""
    return (root / "deploy/edge/nginx.conf").read_text("utf-8")


@pytest.fixture(scope="session")
def table(conf: str) -> Sequence[tuple[re.Pattern[str], str]]:
    """Which service owns what matches, in order."""
    body = MAP.search(conf)
    assert body is not None
    lines = [
        (
            re.compile(line["pattern"], re.IGNORECASE if line["fold"] else 0),
            line["owner"].strip('"'),
        )
        for line in LINE.finditer(body[1])
    ]
    told = [line for line in body[1].splitlines() if line.strip() and "#" not in line]
    assert len(lines) == len(told) - 1, "a line of the table, besides `default`, was not read"
    return lines


def owner_of(request_uri: str, table: Sequence[tuple[re.Pattern[str], str]]) -> str:
    """What nginx makes of a raw path: the first expression that matches."""
    return next((owner for pattern, owner in table if pattern.search(request_uri)), "")


def test_the_prefixes_are_those_of_the_services_one_to_one(
    table: Sequence[tuple[re.Pattern[str], str]],
) -> None:
    listed = [
        (found["prefix"], owner)
        for pattern, owner in table
        if (found := PREFIX.fullmatch(pattern.pattern)) is not None
    ]
    assert listed == PREFIXES
    assert [owner for pattern, owner in table if not PREFIX.fullmatch(pattern.pattern)] == [""]


@pytest.mark.parametrize(("prefix", "owner"), PREFIXES)
def test_a_prefix_and_all_below_it_belong_to_its_service(
    prefix: str, owner: str, table: Sequence[tuple[re.Pattern[str], str]]
) -> None:
    for path in (
        prefix,
        f"{prefix}/",
        f"{prefix}/a.b:c/d",
        f"{prefix}?q=//..%2f",
        f"{prefix}/%20",
    ):
        assert owner_of(path, table) == owner
    for path in (f"{prefix}x", f"/x{prefix}", f"{prefix}%2Fx", prefix.upper(), prefix[:-1]):
        assert owner_of(path, table) == ""


@pytest.mark.parametrize("path", NOBODYS)
def test_nothing_else_is_reached(path: str, table: Sequence[tuple[re.Pattern[str], str]]) -> None:
    assert owner_of(path, table) == ""


def test_every_path_that_services_publish_is_reached_and_no_internal_one(
    table: Sequence[tuple[re.Pattern[str], str]],
) -> None:
    for service in SERVICES:
        for route in service.router.routes:
            path = getattr(route, "path", "")
            expected = "" if path.startswith("/internal/") else service.name
            assert owner_of(path.replace("{", "").replace("}", ""), table) == expected, path


def test_owners_are_containers_and_ports_theirs(
    conf: str, containers: Mapping[str, Mapping[str, Any]]
) -> None:
    port = re.search(r"proxy_pass http://\$owner:(\d+);", conf)
    assert port is not None
    for service in SERVICES:
        assert containers[service.name]["environment"]["PORT"] == port[1]
    edge = containers["edge"]
    assert f"listen {edge['ports'][0].rpartition(':')[2]};" in conf
    assert edge["volumes"] == ["./deploy/edge/nginx.conf:/etc/nginx/nginx.conf:ro"]
    health = edge["healthcheck"]["test"][-1]
    assert health == "http://127.0.0.1:8080/health"
    assert "location = /health {" in conf


def test_it_writes_only_where_the_container_lets_it(
    conf: str, containers: Mapping[str, Mapping[str, Any]]
) -> None:
    written = re.findall(r"(?:_temp_path|^pid) (\S+);", conf, re.MULTILINE)
    writable = [mount.split(":")[0] for mount in containers["edge"]["tmpfs"]]
    assert len(written) == 6
    assert {str(Path(path).parent) for path in written} == set(writable)


def test_bounds_and_waits_are_those_of_the_code(conf: str) -> None:
    assert f"client_max_body_size {MAX_BODY_BYTES};" in conf
    assert f"worker_shutdown_timeout {DRAIN_S}s;" in conf
    read_timeout = re.search(r"proxy_read_timeout (\d+)s;", conf)
    assert read_timeout is not None
    assert int(read_timeout[1]) > LONGEST_WAIT_S
    assert "proxy_next_upstream off;" in conf


def test_refusals_are_problem_details_like_everywhere_else(conf: str) -> None:
    found = {match[0]: match for match in PROBLEM.findall(conf)}
    named = set(re.findall(r"error_page [\d =]+ @(\w+);", conf))
    assert found.keys() == named
    assert {"not_found", "body_too_large", "unavailable"} <= named
    for code, directives, status, body in found.values():
        told = json.loads(body)
        expected = problem_response(int(status), code, told["detail"])
        assert told == json.loads(bytes(expected.body))
        assert f"default_type {MEDIA_TYPE};" in directives
    assert str(MAX_BODY_BYTES) in found["body_too_large"][3]
