"""Generated documents say what the code says."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shanmen.common.events import Event, Message
from shanmen.platform.documents.events import event_types, schema_of
from shanmen.platform.documents.files import documents, stale_documents, write_documents
from shanmen.platform.edge import merged_openapi, openapi_of
from shanmen.platform.services import SERVICES

LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def test_the_kept_documents_are_up_to_date(root: Path) -> None:
    stale = [str(path.relative_to(root)) for path in stale_documents(root)]
    assert not stale, f"Run `make docs` and commit what it writes: {stale}"


def test_writing_mends_what_is_missing_altered_or_superfluous(tmp_path: Path) -> None:
    written = write_documents(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in written} == documents().keys()
    assert stale_documents(tmp_path) == []

    missing, altered = written[0], written[-1]
    superfluous = tmp_path / "docs/states/of_yesterday.md"
    missing.unlink()
    altered.write_text("altered")
    superfluous.write_text("nobody writes this any more")
    by_hand = tmp_path / "docs/runbook.md"
    by_hand.write_text("not generated")

    expected = sorted([missing, altered, superfluous])
    assert stale_documents(tmp_path) == expected
    assert write_documents(tmp_path) == expected
    assert stale_documents(tmp_path) == []
    assert by_hand.read_text() == "not generated"
    assert not superfluous.exists()


@pytest.mark.parametrize("event", event_types(), ids=lambda event: event.TYPE)
def test_an_event_names_the_schema_that_describes_it(event: type[Event]) -> None:
    schema = schema_of(event)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == Message(**_envelope(event)).dataschema
    assert f"{schema['$id']}" in documents()
    assert schema["description"]


def test_services_do_not_give_one_name_to_two_things() -> None:
    """The merged document has one name space of components and of operations."""
    components: dict[str, Any] = {}
    operations: list[str] = []
    for service in SERVICES:
        document = openapi_of(service)
        for name, schema in document["components"]["schemas"].items():
            assert components.setdefault(name, schema) == schema, (
                f"{service.name}: another service has a schema {name} of other content; rename one"
            )
        operations += [
            operation["operationId"]
            for verbs in document["paths"].values()
            for operation in verbs.values()
        ]
    assert len(operations) == len(set(operations))


def test_the_merged_document_is_whole() -> None:
    merged = merged_openapi(SERVICES)
    alone = [openapi_of(service)["paths"] for service in SERVICES]
    assert merged["paths"].keys() == set().union(*alone)
    for reference in set(_references(merged)):
        target: Any = merged
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]


def test_the_documents_are_json_and_markdown() -> None:
    for name, text in documents().items():
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        if name.endswith(".json"):
            json.loads(text)
        else:
            assert text.startswith("# ")


def test_links_lead_somewhere(texts: Mapping[str, str], root: Path) -> None:
    astray = [
        f"{name}: {link}"
        for name, text in texts.items()
        if name.endswith(".md")
        for link in LINK.findall(text)
        if "://" not in link and not (root / name).parent.joinpath(link).exists()
    ]
    assert not astray, f"Correct these links: {astray}"


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _envelope(event: type[Event]) -> dict[str, Any]:
    rest = dict.fromkeys(("id", "source", "subject", "time", "data", "trace"))
    return {"type": event.TYPE, **rest}
