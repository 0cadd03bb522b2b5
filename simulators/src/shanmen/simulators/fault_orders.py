"""Ordering faults, listing them and calling them off."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from shanmen.simulators.books import Books
from shanmen.simulators.faults import OPTIONS, Kind
from shanmen.simulators.fields import BadInput, Fields
from shanmen.simulators.moments import utc_time
from shanmen.simulators.postbox import NOTIFICATION_KINDS


@dataclass(frozen=True)
class Catalogue:
    """What can be ordered at a channel: its kinds of faults around a call, and its methods."""

    call_kinds: Mapping[str, Kind[Any, Any]]
    methods: Collection[str]


def order_fault(books: Books, given: object, catalogue: Catalogue) -> dict[str, object]:
    """Order a fault; it strikes from the next call on. Returns it as `list_faults` does.

    `kind` is needed. `method`, `number` and `account_no` narrow it; `times` limits it (without,
    it stays until called off); `probability` with `seed` makes it irregular but repeatable.
    Raises BadInput.
    """
    fields = Fields(given, "a fault")
    kind, method = fields.text("kind"), fields.optional_text("method")
    columns: dict[str, object] = {
        "kind": kind,
        "method": method,
        "number": fields.optional_text("number"),
        "account_no": fields.optional_text("account_no"),
        "times_left": fields.optional_integer("times", 1),
        "probability": fields.fraction("probability"),
        "seed": fields.optional_integer("seed", 0) or 0,
    }
    read = {int: lambda name: fields.optional_integer(name, 0), str: fields.optional_text}
    options = {name: read[of_type](name) for name, of_type in OPTIONS.items()}
    options = {name: value for name, value in options.items() if value is not None}
    fields.finish()
    _check(catalogue, kind, method, options)
    books.insert("faults", **columns, options=json.dumps(options), created_ms=books.now_ms)
    return list_faults(books)[-1]


def _check(
    catalogue: Catalogue, kind: str, method: str | None, options: Mapping[str, object]
) -> None:
    kinds = [*catalogue.call_kinds, *sorted(NOTIFICATION_KINDS)]
    if kind not in kinds:
        raise BadInput(f"a fault's kind is one of {', '.join(kinds)}")
    if method is not None and method not in catalogue.methods:
        raise BadInput(f"a fault's method is one of {', '.join(catalogue.methods)}")
    methods = catalogue.call_kinds[kind].methods if kind in catalogue.call_kinds else None
    if method is not None and methods is not None and method not in methods:
        raise BadInput(f"{kind} is for {', '.join(sorted(methods))} only")
    if kind == "slow" and "delay_ms" not in options:
        raise BadInput("slow needs delay_ms")


def list_faults(books: Books) -> list[dict[str, object]]:
    """All orders with what they have done so far, oldest first; used-up ones too."""
    return [
        {
            "fault_id": row["fault_id"],
            "kind": row["kind"],
            "method": row["method"],
            "number": row["number"],
            "account_no": row["account_no"],
            "times_left": row["times_left"],
            "probability": row["probability"],
            "seed": row["seed"],
            **json.loads(row["options"]),
            "hits": row["hits"],
            "created_at": utc_time(row["created_ms"]),
        }
        for row in books.rows("SELECT * FROM faults ORDER BY fault_id")
    ]


def call_off(books: Books, fault_id: int | None) -> int:
    """Remove one order, or all of them; how many there were."""
    if fault_id is None:
        return books.write("DELETE FROM faults")
    return books.write("DELETE FROM faults WHERE fault_id = ?", fault_id)
