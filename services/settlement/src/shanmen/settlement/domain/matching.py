"""Matching (勾对): finds for each fact of the ledger its rows in a channel's bills. Pure.

Each bill is matched by itself, within a number and direction. A row and a fact match by equal
amounts, on the same day before one day apart; what may be split, by an equal sum. What is left
over in one bill is then put together with the same money in another: that is one break.
"""

from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import Final, NamedTuple, TypeAlias, cast

from shanmen.settlement.domain.ledger import PostingKind
from shanmen.settlement.domain.reconciliation import (
    BILL_TYPES,
    DAY,
    DIRECTION_OF,
    MAY_BE_SPLIT,
    OF_THE_OWNER,
    BreakClass,
    Difference,
    Explained,
    Fact,
    Findings,
    Line,
    Place,
    Window,
    places_of,
)
from shanmen.settlement.domain.work import Direction

_SUCCEEDED: Final = "succeeded"
_NEAR: Final = (0 * DAY, -DAY, DAY)
"""On which days the other side of a row may be, the likeliest first."""

_Key: TypeAlias = tuple[str, str, str]
"""Bill type, number, direction."""

_Pair: TypeAlias = tuple[Fact, Line]


class _Odd(NamedTuple):
    """What one bill and the ledger disagree about."""

    bill_type: str
    number: str
    break_class: BreakClass
    fact: Fact | None
    line: Line | None

    @property
    def one(self) -> Fact | Line:
        """The row, or else the fact: one of both is there."""
        return self.line if self.line is not None else cast("Fact", self.fact)

    @property
    def theirs_fen(self) -> int:
        """What the channel says that has moved."""
        return self.line.amount_fen if self.line is not None and self.line.succeeded else 0


class _Group:
    """All facts and rows of one number and direction in one bill."""

    __slots__ = ("facts", "is_accepted", "lines", "unmoved")

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.lines: list[Line] = []
        self.unmoved: list[Line] = []
        self.is_accepted = False

    def explain(self, explained: Explained) -> None:
        """Take for given what a person dealt with before."""
        if explained.ours_fen == explained.theirs_fen:
            self.is_accepted = True
            return
        changed: Fact | None = None
        if explained.ours_fen:
            near = [
                fact
                for fact in self.facts
                if fact.amount_fen == explained.ours_fen and abs(fact.day - explained.day) <= DAY
            ]
            if not near:
                return
            changed = min(near, key=lambda fact: abs(fact.day - explained.day))
            self.facts.remove(changed)
        if explained.theirs_fen:
            fact = changed or Fact(
                *("", PostingKind.ADJUSTMENT.value, explained.number, explained.number),
                *(explained.direction, explained.theirs_fen, explained.at, explained.day),
            )
            self.facts.append(fact._replace(amount_fen=explained.theirs_fen))


class Matcher:
    """Compares the ledger with the bills of one day of one channel.

    Facts and rows of the days around it are needed only under numbers that the day has.
    """

    def __init__(self, channel: str, window: Window) -> None:
        self._channel = channel
        self._window = window
        self._groups: dict[_Key, _Group] = defaultdict(_Group)
        self._facts: list[Fact] = []
        self._odds: list[_Odd] = []
        self._matched = 0
        self._settled_rows: set[tuple[date, str, int]] = set()

    def match(
        self, facts: Iterable[Fact], lines: Iterable[Line], explained: Iterable[Explained]
    ) -> Findings:
        """What is found."""
        for fact in facts:
            self._facts.append(fact)
            for bill_type, number in places_of(self._channel, fact):
                self._groups[bill_type, number, fact.direction].facts.append(fact)
        references = {fact.number for fact in self._facts if fact.kind in OF_THE_OWNER}
        for row in lines:
            line = row
            if row.channel_ref in references:
                line = row._replace(number=row.channel_ref, root=row.channel_ref)
            group = self._groups[line.bill_type, line.number, line.direction]
            (group.lines if line.succeeded else group.unmoved).append(line)
        for given in explained:
            self._groups[given.bill_type, given.number, given.direction].explain(given)
        for key, group in self._groups.items():
            self._match_group(key, group)
        self._look_at_what_is_over()
        return self._findings()

    def _match_group(self, key: _Key, group: _Group) -> None:
        had_facts = bool(group.facts)
        pairs, facts, lines = _paired(group.facts, group.lines, by_amount=True)
        facts, lines = self._match_sum(facts, lines)
        for fact, line in pairs:
            self._take(key, group, fact, line)
        unmoved, facts, _ = _paired(facts, group.unmoved, by_amount=False)
        differing, facts, lines = _paired(facts, lines, by_amount=False)
        self._odds += [_Odd(*key[:2], BreakClass.STATUS, *pair) for pair in unmoved]
        self._odds += [_Odd(*key[:2], BreakClass.AMOUNT, *pair) for pair in differing]
        self._odds += [_Odd(*key[:2], BreakClass.MISSING_THERE, fact, None) for fact in facts]
        for line in lines:
            is_new = not had_facts and _is_about(line)
            odd_class = BreakClass.STATUS if is_new else BreakClass.MISSING_HERE
            self._odds.append(_Odd(*key[:2], odd_class, None, line))

    def _match_sum(self, facts: list[Fact], lines: list[Line]) -> tuple[list[Fact], list[Line]]:
        """Match a fact with all rows, if they are parts of it."""
        if len(facts) != 1 or len(lines) < 2 or facts[0].kind not in MAY_BE_SPLIT:
            return facts, lines
        near = all(abs(line.day - facts[0].day) <= DAY for line in lines)
        if not near or sum(line.amount_fen for line in lines) != facts[0].amount_fen:
            return facts, lines
        for line in lines:
            self._count(line)
        return [], []

    def _take(self, key: _Key, group: _Group, fact: Fact, line: Line) -> None:
        """A pair that agrees about the amount; the gateway may know otherwise."""
        denied = (
            _is_about(line)
            and line.known is not None
            and line.known[1] != _SUCCEEDED
            and fact.kind != PostingKind.ADJUSTMENT
        )
        if denied and not group.is_accepted:
            self._odds.append(_Odd(*key[:2], BreakClass.STATUS, fact, line))
        else:
            self._count(line)

    def _count(self, line: Line) -> None:
        if line.day == self._window.day:
            self._matched += 1
        else:
            self._settled_rows.add((line.day, line.bill_type, line.line))

    def _look_at_what_is_over(self) -> None:
        """A debit that was undone at the channel came in and went out again: nothing moved."""
        roots = {fact.root for fact in self._facts}
        undone: dict[tuple[str, str], list[_Odd]] = defaultdict(list)
        for odd in self._odds:
            if odd.fact is None and odd.line is not None and odd.line.root not in roots:
                undone[odd.bill_type, odd.line.root].append(odd)
        dropped: set[int] = set()
        for odds in undone.values():
            if _is_undone_debit([odd.line for odd in odds if odd.line is not None]):
                dropped |= {id(odd) for odd in odds}
        for odd in self._odds:
            if id(odd) in dropped and odd.line is not None:
                self._count(odd.line)
        self._odds = [odd for odd in self._odds if id(odd) not in dropped]

    # ── putting bills together ──────────────────────────────────────────────────────────────────

    def _findings(self) -> Findings:
        window = self._window
        waiting = {
            odd.fact.key: odd.fact
            for odd in self._odds
            if odd.fact is not None and odd.line is None and window.waits(odd.fact)
        }
        odd_facts = {odd.fact.key for odd in self._odds if odd.fact is not None}
        return Findings(
            matched=self._matched,
            waiting=tuple(waiting.values()),
            differences=tuple(_numbered(self._differences())),
            settled_facts=frozenset({fact.key for fact in self._facts} - odd_facts),
            settled_rows=frozenset(self._settled_rows),
        )

    def _differences(self) -> Iterable[Difference]:
        """One for each that is this run's to find, with all bills that it is in."""
        alike: dict[Hashable, dict[str, deque[_Odd]]] = defaultdict(lambda: defaultdict(deque))
        for odd in self._odds:
            if self._is_ours_to_find(odd):
                alike[_same_money(odd)][odd.bill_type].append(odd)
        for by_bill in alike.values():
            while any(by_bill.values()):
                yield self._difference([odds.popleft() for odds in by_bill.values() if odds])

    def _is_ours_to_find(self, odd: _Odd) -> bool:
        if odd.line is not None:
            return odd.line.day == self._window.day
        return odd.fact is not None and self._window.judges(odd.fact)

    def _difference(self, odds: Sequence[_Odd]) -> Difference:
        order = BILL_TYPES[self._channel]
        odds = sorted(odds, key=lambda odd: (odd.bill_type not in order, odd.bill_type))
        fact = next((odd.fact for odd in odds if odd.fact is not None), None)
        lines = [odd.line for odd in odds if odd.line is not None]
        # Of several bills that name it, the one with the refund's own number says most.
        line = next((line for line in lines if line.root != line.number), next(iter(lines), None))
        is_status = any(odd.break_class is BreakClass.STATUS for odd in odds)
        one = odds[0].one
        return Difference(
            bill_date=one.day,
            break_class=BreakClass.STATUS if is_status else odds[0].break_class,
            number=(fact or line or one).number,
            direction=one.direction,
            ours_fen=fact.amount_fen if fact is not None else 0,
            theirs_fen=odds[0].theirs_fen,
            places=tuple(
                Place(odd.bill_type, odd.number, odd.line.line if odd.line is not None else None)
                for odd in odds
            ),
            channel_ref=line.channel_ref if line is not None else "",
            business_type=line.business_type if line is not None else "",
            fact=fact.key if fact is not None and fact.key else None,
            order_no=fact.order_no if fact is not None else None,
            ours_at=fact.at if fact is not None else None,
            theirs_at=line.at if line is not None else None,
        )


def _paired(
    facts: Iterable[Fact], lines: Iterable[Line], *, by_amount: bool
) -> tuple[list[_Pair], list[Fact], list[Line]]:
    """Facts and rows of the same day, then of days next to each other; and what is left of both.

    In one pass over each, however many there are under one number.
    """
    waiting: dict[Hashable, deque[Fact]] = defaultdict(deque)
    for fact in facts:
        waiting[fact.amount_fen if by_amount else 0, fact.day].append(fact)
    left, pairs = list(lines), list[_Pair]()
    for apart in _NEAR:
        unpaired = []
        for line in left:
            found = waiting.get((line.amount_fen if by_amount else 0, line.day + apart))
            if found:
                pairs.append((found.popleft(), line))
            else:
                unpaired.append(line)
        left = unpaired
    return pairs, [fact for group in waiting.values() for fact in group], left


def _is_about(line: Line) -> bool:
    """Whether a row is about the very operation that the gateway knows by its number."""
    return line.known is not None and DIRECTION_OF.get(line.known[0]) == line.direction


def _is_undone_debit(lines: Sequence[Line]) -> bool:
    came = [line for line in lines if line.direction == Direction.IN]
    went = [line for line in lines if line.direction == Direction.OUT]
    came_fen, went_fen = (sum(line.amount_fen for line in part) for part in (came, went))
    return came_fen == went_fen and all(
        line.known is not None and line.known[1] != _SUCCEEDED for line in came
    )


def _same_money(odd: _Odd) -> Hashable:
    """What is equal for the same money in several bills."""
    fact, one = odd.fact, odd.one
    ours = (fact.key, fact.amount_fen) if fact is not None else (one.root, 0)
    return (*ours, one.direction, one.day, odd.theirs_fen, odd.line is not None)


def _numbered(differences: Iterable[Difference]) -> Iterable[Difference]:
    """Each with an ordinal among those that nothing else tells apart."""
    seen: dict[Hashable, int] = defaultdict(int)
    for difference in differences:
        identity = difference.identity
        ordinal = seen[identity]
        seen[identity] += 1
        yield replace(difference, ordinal=ordinal) if ordinal else difference
