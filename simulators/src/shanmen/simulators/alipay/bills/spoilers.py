"""What a fault does to a bill. Without one, nothing of this happens."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from shanmen.simulators.alipay.bills.lines import Line, Tally

ChangeLines = Callable[[Iterable[Line], Line], Iterator[Line]]
"""The lines as they are told; the second argument is a line that no merchant caused."""

_GBK: Final = "gbk"


@dataclass(frozen=True)
class Spoiler:
    """How a bill is told. `tally` is what the trailer says, `content` the finished file."""

    lines: ChangeLines = lambda lines, _foreign: iter(lines)
    columns: Callable[[tuple[str, ...]], tuple[str, ...]] = lambda columns: columns
    tally: Callable[[Tally], Tally] = lambda tally: tally
    encoding: str = _GBK
    content: Callable[[bytes], bytes] = lambda content: content


def _with_foreign(lines: Iterable[Line], foreign: Line) -> Iterator[Line]:
    yield from lines
    yield foreign


def _last(change: Callable[[Line], tuple[Line, ...]]) -> ChangeLines:
    """Tell something else in place of the last line, where there is one."""

    def changed(lines: Iterable[Line], _foreign: Line) -> Iterator[Line]:
        held: Line | None = None
        for line in lines:
            if held is not None:
                yield held
            held = line
        if held is not None:
            yield from change(held)

    return changed


def _one_fen_more(line: Line) -> tuple[Line, ...]:
    away_fen = 1 if line.amount_fen > 0 else -1
    return (replace(line, amount_fen=line.amount_fen + away_fen),)


HONEST: Final = Spoiler()
SPOILERS: Final[dict[str, Spoiler]] = {
    "bill_extra_row": Spoiler(lines=_with_foreign),
    "bill_missing_row": Spoiler(lines=_last(lambda _line: ())),
    "bill_amount_differs": Spoiler(lines=_last(_one_fen_more)),
    "bill_duplicate_row": Spoiler(lines=_last(lambda line: (line, line))),
    "bill_wrong_trailer": Spoiler(tally=lambda tally: Tally(tally.ins + 1, 0, tally.outs, 0)),
    "bill_truncated": Spoiler(content=lambda content: content[: len(content) // 2]),
    "bill_reordered_columns": Spoiler(columns=lambda columns: columns[::-1]),
    "bill_utf8": Spoiler(encoding="utf-8-sig"),
    "bill_utf16": Spoiler(encoding="utf-16"),
    "bill_empty_file": Spoiler(content=lambda _content: b""),
}
"""Faults of a bill. The first four are well-formed files that tell something untrue; reordered
columns and UTF-8 with its mark are harmless; the others cannot be read, or contradict themselves.
"""
