"""The writer thread: each job whole or not at all, and durable once answered."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from shanmen.simulators.store import Store

_SCHEMA = "CREATE TABLE IF NOT EXISTS things (name TEXT PRIMARY KEY)"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "things.sqlite3", _SCHEMA)
    yield store
    store.close()


def _names(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    try:
        return {name for (name,) in connection.execute("SELECT name FROM things")}
    finally:
        connection.close()


async def test_jobs_of_one_batch_fail_alone(store: Store, tmp_path: Path) -> None:
    def add(name: str, *, then_fail: bool = False) -> "asyncio.Future[None]":
        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO things VALUES (?)", (name,))
            if then_fail:
                raise KeyError(name)

        return asyncio.ensure_future(store.run(work))

    outcomes = await asyncio.gather(
        add("a"), add("b", then_fail=True), add("a"), add("c"), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        KeyError,
        sqlite3.IntegrityError,
        type(None),
    ]
    assert _names(tmp_path / "things.sqlite3") == {"a", "c"}


async def test_a_commit_that_fails_is_nobodys_success(store: Store, tmp_path: Path) -> None:
    def break_the_commit(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA defer_foreign_keys = ON")
        connection.execute(
            "CREATE TABLE children (name TEXT REFERENCES things DEFERRABLE INITIALLY DEFERRED)"
        )
        connection.execute("INSERT INTO children VALUES ('orphan')")

    with pytest.raises(sqlite3.IntegrityError):
        await store.run(break_the_commit)

    await store.run(lambda connection: connection.execute("INSERT INTO things VALUES ('later')"))
    assert _names(tmp_path / "things.sqlite3") == {"later"}


async def test_closing_finishes_what_was_handed_in(tmp_path: Path) -> None:
    store = Store(tmp_path / "things.sqlite3", _SCHEMA)

    def add(name: str) -> "asyncio.Future[int]":
        def work(connection: sqlite3.Connection) -> int:
            return connection.execute("INSERT INTO things VALUES (?)", (name,)).rowcount

        return asyncio.ensure_future(store.run(work))

    jobs = [add(str(number)) for number in range(100)]
    await asyncio.sleep(0)
    await asyncio.to_thread(store.close)

    assert await asyncio.gather(*jobs) == [1] * 100
    assert len(_names(tmp_path / "things.sqlite3")) == 100
