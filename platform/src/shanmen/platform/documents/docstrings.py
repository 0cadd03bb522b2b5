"""What the code says about its own classes: the string literal that follows a field or a member.

Python drops these strings when it runs the code, so they are read from the source.
"""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from itertools import pairwise


@cache
def field_texts(owner: type) -> Mapping[str, str]:
    """The docstring of each field or member in a class body, by name; those that have one."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 - the source of a class
    return {
        name: inspect.cleandoc(text)
        for statement, following in pairwise(definition.body)
        if (name := _assigned_name(statement)) and (text := _literal_text(following))
    }


def class_text(owner: type) -> str:
    """The docstring of a class. Raises ValueError when it has none."""
    if not owner.__doc__:
        raise ValueError(f"{owner.__qualname__} has no docstring")
    return inspect.cleandoc(owner.__doc__)


def term_and_meaning(member: StrEnum) -> tuple[str, str]:
    """The Chinese term of a status and what it means, out of `等待支付: placed, …`.

    Either may be empty; a text that does not begin with a Chinese term is all meaning.
    """
    text = field_texts(type(member)).get(member.name, "")
    term, _, meaning = text.partition(":")
    if not is_chinese(term):
        return "", text
    return term.strip().removesuffix("."), meaning.strip()


def is_chinese(text: str) -> bool:
    """Whether a text begins with a Chinese character."""
    return "\u4e00" <= text[:1] <= "\u9fff"


def _assigned_name(statement: ast.stmt) -> str | None:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    target = statement.target if isinstance(statement, ast.AnnAssign) else None
    found = target or (targets[0] if len(targets) == 1 else None)
    return found.id if isinstance(found, ast.Name) else None


def _literal_text(statement: ast.stmt) -> str | None:
    value = statement.value if isinstance(statement, ast.Expr) else None
    text = value.value if isinstance(value, ast.Constant) else None
    return text if isinstance(text, str) else None
