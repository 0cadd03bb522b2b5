"""The house: the same rooms in the same places, small enough to be read, each doing its own."""

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pytest

from shanmen.common.service import Service
from shanmen.platform.services import SERVICES

ROOMS: Final = (
    *("api", "context", "domain", "errors", "events", "jobs", "main"),
    *("ports", "queries", "schemas", "settings", "tables", "usecases"),
)
"""Each is a module, or a package once it has grown out of one."""

FURNITURE: Final = (
    *("README.md", "pyproject.toml", "tests/unit", "tests/integration", "tests/api"),
    *("src/shanmen/{package}/migrations/env.py", "src/shanmen/{package}/migrations/versions"),
)

MOST_LINES_OF_SOURCE: Final = 400
MOST_LINES: Final = 500
MOST_LINES_OF_A_FUNCTION: Final = 60
MOST_LINES_OF_A_MAIN: Final = 30

SAYS_NOTHING: Final = {
    *("util", "utils", "helper", "helpers", "misc", "stuff", "tools", "shared", "base_classes"),
}

DOMAIN_MAY_IMPORT: Final = {
    *("shanmen.common.money", "shanmen.common.ids", "shanmen.common.statemachine"),
}


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_has_every_room(root: Path, service: Service[Any, Any]) -> None:
    home, package = root / "services" / service.name, service.name.replace("-", "_")
    inside = home / "src" / "shanmen" / package
    missing = [f"{room}.py" for room in ROOMS if not _is_room(inside, room)]
    missing += [
        path
        for path in (item.format(package=package) for item in FURNITURE)
        if not (home / path).exists()
    ]
    assert not missing, f"services/{service.name} has no {', '.join(missing)}: add them"


def test_every_folder_of_services_is_a_service(root: Path) -> None:
    folders = {path.name for path in (root / "services").iterdir() if path.is_dir()}
    assert folders == {service.name for service in SERVICES}, (
        "Name each service in platform/src/shanmen/platform/services.py"
    )


def test_shanmen_is_a_namespace_and_each_part_of_it_says_what_it_is(
    kept: Sequence[str], modules: Mapping[str, ast.Module]
) -> None:
    claimed = [name for name in kept if name.endswith("src/shanmen/__init__.py")]
    assert not claimed, f"{claimed} would hide every other distribution: remove it"
    packages = {str(PurePosixPath(name).parent) for name in modules if "/src/shanmen/" in name}
    silent = [
        package
        for package in sorted(packages)
        if "/migrations" not in package and not _says_what_it_is(modules, package)
    ]
    assert not silent, f"Give these an __init__.py with a docstring: {silent}"


def test_files_are_short(texts: Mapping[str, str]) -> None:
    too_long = {
        name: length
        for name, text in texts.items()
        if name.endswith(".py")
        and (length := text.count("\n"))
        > (MOST_LINES_OF_SOURCE if _is_source(name) else MOST_LINES)
    }
    assert not too_long, (
        f"At most {MOST_LINES_OF_SOURCE} lines of source, {MOST_LINES} of tests: "
        f"make packages of {too_long}"
    )


def test_functions_are_short(modules: Mapping[str, ast.Module]) -> None:
    too_long = [
        f"{name}:{node.lineno} {node.name}, {length} lines"
        for name, module in modules.items()
        if "/migrations/versions/" not in name  # written by Alembic, and run once
        for node in _functions(module)
        if (length := (node.end_lineno or 0) - node.lineno + 1) > MOST_LINES_OF_A_FUNCTION
    ]
    assert not too_long, f"At most {MOST_LINES_OF_A_FUNCTION} lines; split {too_long}"


def test_mains_are_one_value(texts: Mapping[str, str]) -> None:
    mains = {name: text for name, text in texts.items() if _room_of(name) == "main"}
    assert len(mains) == len(SERVICES)
    too_long = {
        n: lines for n, t in mains.items() if (lines := t.count("\n")) > MOST_LINES_OF_A_MAIN
    }
    assert not too_long, (
        f"At most {MOST_LINES_OF_A_MAIN} lines, move what decides into a room: {too_long}"
    )


def test_names_say_what_is_inside(kept: Sequence[str]) -> None:
    empty_words = [name for name in kept if SAYS_NOTHING & {*_words_of(name)}]
    assert not empty_words, f"Name these for what they do: {empty_words}"


def test_domains_are_pure(modules: Mapping[str, ast.Module]) -> None:
    impure = [
        f"{name}:{line} {imported}"
        for name, module in modules.items()
        if _room_of(name) == "domain"
        for line, imported, _ in _imports(module)
        if imported.partition(".")[0] not in sys.stdlib_module_names
        and imported not in DOMAIN_MAY_IMPORT
        and not imported.startswith(_package_of(name) + ".domain")
    ]
    assert not impure, (
        f"A domain imports the standard library and {sorted(DOMAIN_MAY_IMPORT)} only: {impure}"
    )


def test_sql_lives_in_queries(modules: Mapping[str, ast.Module]) -> None:
    """Others may name the type of a row that they were given, and nothing else of SQLAlchemy."""
    elsewhere = [
        f"{name}:{line} {imported} {what}"
        for name, module in modules.items()
        if name.startswith("services/") and _is_source(name)
        if _room_of(name) not in {"queries", "tables", "migrations", "testing"}
        for line, imported, what in _imports(module)
        if imported.partition(".")[0] in {"sqlalchemy", "asyncpg"}
        if (imported, what) != ("sqlalchemy", "Row")
    ]
    assert not elsewhere, f"Move this SQL into queries: {elsewhere}"


def test_money_is_whole_fen(modules: Mapping[str, ast.Module], texts: Mapping[str, str]) -> None:
    """Where amounts are handled there is no float but durations (`…_s`, and their jitter)."""
    handling_money = {
        name: module
        for name, module in modules.items()
        if _is_source(name) and not name.startswith("platform/")
        if _room_of(name) != "testing" and "_fen" in texts[name]
    }
    assert len(handling_money) > 20
    inexact = [
        f"{name}:{line} {what}"
        for name, module in handling_money.items()
        for line, what in _inexact(module, "")
    ]
    assert not inexact, f"Use integer fen, basis points and shanmen.common.money: {inexact}"


def _inexact(node: ast.AST, holder: str) -> Iterator[tuple[int, str]]:
    """Floats that `holder`, the name they are for, does not excuse; and divisions of amounts."""
    if isinstance(node, ast.Assign):
        holder = " ".join(sorted(_names_in(node.targets)))
    elif isinstance(node, ast.AnnAssign):
        holder = " ".join(_names_in([node.target]))
    elif isinstance(node, ast.arg | ast.keyword):
        holder = node.arg or ""
    elif isinstance(node, ast.arguments):
        yield from _inexact_defaults(node)
        for argument in [*node.posonlyargs, *node.args, *node.kwonlyargs]:
            yield from _inexact(argument, "")
        return
    is_float = isinstance(node, ast.Constant) and isinstance(node.value, float)
    names_float = isinstance(node, ast.Name) and node.id == "float"
    if (is_float or names_float) and not holder.lower().endswith(("_s", "jitter")):
        yield getattr(node, "lineno", 0), f"float for {holder or 'nobody knows what'!r}"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        amounts = [n for n in _names_in([node]) if n.endswith(("fen", "bps"))]
        if amounts:
            yield node.lineno, f"division of {amounts}"
    for child in ast.iter_child_nodes(node):
        yield from _inexact(child, holder)


def _inexact_defaults(arguments: ast.arguments) -> Iterator[tuple[int, str]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    with_defaults = positional[len(positional) - len(arguments.defaults) :]
    pairs = [
        *zip(with_defaults, arguments.defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    for argument, default in pairs:
        if default is not None:
            yield from _inexact(default, argument.arg)


def _names_in(nodes: Sequence[ast.AST]) -> set[str]:
    found = [child for node in nodes for child in ast.walk(node)]
    return {n.id for n in found if isinstance(n, ast.Name)} | {
        n.attr for n in found if isinstance(n, ast.Attribute)
    }


def _functions(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _imports(module: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Line, module and name of everything that is imported; an empty name for whole modules."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, node.module or "", alias.name) for alias in node.names)


def _is_source(name: str) -> bool:
    return "/src/" in name


def _is_room(inside: Path, room: str) -> bool:
    return (inside / f"{room}.py").is_file() or (inside / room / "__init__.py").is_file()


def _room_of(name: str) -> str | None:
    """The room of a service that a source file belongs to, None for files outside services."""
    parts = PurePosixPath(name).with_suffix("").parts
    is_service = parts[0] == "services" and parts[2:4] == ("src", "shanmen")
    return parts[5] if is_service and len(parts) > 5 else None


def _package_of(name: str) -> str:
    """`shanmen.<service>` of a service's source file."""
    return ".".join(PurePosixPath(name).parts[3:5])


def _words_of(name: str) -> Iterator[str]:
    for part in PurePosixPath(name).parts:
        yield part.partition(".")[0].removeprefix("test_")


def _says_what_it_is(modules: Mapping[str, ast.Module], package: str) -> bool:
    start = modules.get(f"{package}/__init__.py")
    return start is not None and ast.get_docstring(start) is not None
