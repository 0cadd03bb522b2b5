"""What a damage is: one fact in the books made wrong."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Damage:
    """One fact made wrong: `find` says whose, and `spoil` is the SQL that spoils it.

    `spoil` names what was found as `:found`. `unchecked` is a table whose CHECK and UNIQUE
    constraints would be in the way. The invariant must name the row that was found, or `row`, with
    `facts` among what it says of it: several probes of an invariant may name the same row.
    """

    name: str
    invariant: str
    owner: str
    find: str
    spoil: str
    unchecked: str = ""
    row: str = ""
    facts: str = ""
