"""A clearing channel that tells the truth, but late, or not at all. It keeps its own books.

A number is executed at most once. What it says is true when it says it: "no such number" while the
request is still travelling, and the request may arrive later. Two things are bounded, as they are
at a real channel: a request travels for `travel_s` at most; a cancellation, and a request that was
overtaken by a refused one, for `cancel_travel_s`.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from shanmen.gateway_adapters.domain.operations import Action, OperationKind, Outcome


class Mood(StrEnum):
    """How the channel takes one call."""

    HONEST = "honest"
    """It does what it is asked, and says so."""
    MUTE = "mute"
    """It does what it is asked, and says nothing that can be understood."""
    DEAF = "deaf"
    """It does nothing, and says nothing that can be understood."""
    TRAVELLING = "travelling"
    """The request is on its way still; nothing is heard of it."""
    DEALING = "dealing"
    """It has the request, and decides later."""
    REFUSING = "refusing"
    """It refuses for good: a send kills the number, a cancellation is merely not made."""
    REFUSING_MUTELY = "refusing_mutely"
    """It refuses a send for good, and nothing can be understood of that."""
    THROTTLED = "throttled"
    """It does nothing, and says so."""
    MISCONFIGURED = "misconfigured"
    """A setting of ours keeps it from doing anything."""


@dataclass
class Entry:
    """What the channel has in its books under one number."""

    kind: OperationKind
    amount_fen: int
    executed: bool = False
    undone: bool = False
    """Paid back by a cancellation."""
    dead: bool = False
    """Refused or closed: never executed any more."""
    dealing: bool = False
    travelling_since: datetime | None = None
    cancel_travelling_since: datetime | None = None
    overtaken_since: datetime | None = None
    """A request that travels was overtaken by a later one, which was refused."""

    @property
    def has_moved(self) -> bool:
        """Whether the money is where the number would have it."""
        return self.executed and not self.undone


@dataclass
class Channel:
    """One channel with two accounts that matter: the distributor's, and the platform's."""

    distributor_fen: int
    platform_fen: int
    travel_s: float
    cancel_travel_s: float
    books: dict[str, Entry] = field(default_factory=dict)

    def call(
        self, action: Action, number: str, entry: Entry, mood: Mood, now: datetime
    ) -> Outcome:
        """Answer one call about a number; `entry` is what a send asks for."""
        if mood is Mood.THROTTLED:
            return Outcome.THROTTLED
        if mood is Mood.MISCONFIGURED and action is not Action.QUERY:
            return Outcome.CONFIG
        if mood is Mood.DEAF:
            return Outcome.UNKNOWN
        if action is Action.SEND:
            return self._send(number, entry, mood, now)
        if action is Action.CANCEL:
            return self._cancel(number, mood, now)
        answer = self._query(number)
        return Outcome.UNKNOWN if mood is Mood.MUTE else answer

    def arrive(self, number: str, *, favourably: bool) -> None:
        """What travels or is dealt with under a number comes to its end."""
        entry = self.books[number]
        if entry.travelling_since is not None:
            entry.travelling_since = None
            if favourably:
                self._execute(entry)
        elif entry.dealing:
            entry.dealing = False
            if not favourably or self._execute(entry) is not Outcome.OK:
                entry.dead = True

    def pass_time(self, now: datetime) -> None:
        """What has travelled for too long is lost; a cancellation arrives in time."""
        for entry in self.books.values():
            since, cancel_since = entry.travelling_since, entry.cancel_travelling_since
            if entry.overtaken_since and now - entry.overtaken_since >= timedelta(
                seconds=self.cancel_travel_s
            ):
                entry.overtaken_since = None
                entry.dead = self._execute(entry) is not Outcome.OK
                entry.travelling_since = None
            elif since and now - since >= timedelta(seconds=self.travel_s):
                entry.travelling_since = None
            if cancel_since and now - cancel_since >= timedelta(seconds=self.cancel_travel_s):
                entry.cancel_travelling_since = None
                self._undo(entry)

    def on_the_way(self) -> list[str]:
        """The numbers under which something may still happen by itself."""
        return [
            number
            for number, entry in self.books.items()
            if entry.dealing or entry.travelling_since is not None
        ]

    def _send(self, number: str, asked: Entry, mood: Mood, now: datetime) -> Outcome:
        entry = self.books.setdefault(number, asked)
        if entry.undone or entry.dead:
            return Outcome.UNKNOWN if mood is Mood.MUTE else Outcome.FINAL
        if not entry.executed and not entry.dealing:
            if mood is Mood.TRAVELLING:
                entry.travelling_since = entry.travelling_since or now
                return Outcome.UNKNOWN
            if mood is Mood.DEALING:
                entry.dealing, entry.travelling_since = True, None
                return Outcome.PENDING
            if mood in {Mood.REFUSING, Mood.REFUSING_MUTELY}:
                if entry.travelling_since is None:
                    entry.dead = True
                else:  # an earlier request is not refused by that, and arrives soon
                    entry.overtaken_since = entry.overtaken_since or now
                return Outcome.FINAL if mood is Mood.REFUSING else Outcome.UNKNOWN
        answer = Outcome.PENDING if entry.dealing else self._execute(entry)
        is_heard = mood in {Mood.HONEST, Mood.REFUSING, Mood.DEALING}
        return answer if is_heard else Outcome.UNKNOWN

    def _query(self, number: str) -> Outcome:
        entry = self.books.get(number)
        if entry is None:
            return Outcome.ABSENT
        if entry.has_moved:
            return Outcome.OK
        if entry.dead or entry.undone:
            return Outcome.FINAL
        return Outcome.PENDING if entry.dealing else Outcome.ABSENT

    def _cancel(self, number: str, mood: Mood, now: datetime) -> Outcome:
        entry = self.books.get(number)
        if mood is Mood.REFUSING:
            return Outcome.FINAL
        if entry is None or not (entry.executed or entry.dead or entry.dealing):
            return Outcome.UNKNOWN if mood is Mood.MUTE else Outcome.ABSENT
        if mood is Mood.TRAVELLING:
            entry.cancel_travelling_since = entry.cancel_travelling_since or now
            return Outcome.UNKNOWN
        self._undo(entry)
        return Outcome.OK if mood is Mood.HONEST else Outcome.UNKNOWN

    def _execute(self, entry: Entry) -> Outcome:
        if entry.has_moved:
            return Outcome.OK
        if entry.executed or entry.dead:
            return Outcome.FINAL
        is_debit = entry.kind is OperationKind.DEBIT
        balance_fen = self.distributor_fen if is_debit else self.platform_fen
        if balance_fen < entry.amount_fen:
            return Outcome.FUNDS
        entry.executed, entry.travelling_since = True, None
        self._move(entry, entry.amount_fen)
        return Outcome.OK

    def _undo(self, entry: Entry) -> None:
        """Pay back what was executed; what was not never will be."""
        entry.dealing, entry.travelling_since = False, None
        if entry.has_moved:
            entry.undone = True
            self._move(entry, -entry.amount_fen)
        elif not entry.executed:
            entry.dead = True

    def _move(self, entry: Entry, amount_fen: int) -> None:
        into_platform_fen = amount_fen if entry.kind is OperationKind.DEBIT else -amount_fen
        self.platform_fen += into_platform_fen
        if entry.kind is not OperationKind.PAYOUT:
            self.distributor_fen -= into_platform_fen
