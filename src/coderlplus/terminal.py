"""What is printed for people. Text of a model, a program or a file goes through `shown`, so that it cannot steer the
terminal."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from coderlplus.errors import DataError

_told: set[tuple[str, str]] = set()
_WIDEST = 10_000
_NAMED = 20
"""Rows left out that are named one by one."""


def shown(text: str, keep: str = "") -> str:
    """The same text with escapes for characters that do not print (control characters, bidirectional overrides, half
    surrogate pairs, …), except those to `keep`.

    >>> shown("a\\x1b[2J\\tb\\n", keep="\\n")
    'a\\\\x1b[2J\\\\tb\\n'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else repr(one)[1:-1] for one in text)


def console(*, stderr: bool = False, soft_wrap: bool = True) -> Console:
    """A console that prints text as it is: square brackets are no markup, colons no emoji."""
    from rich.console import Console

    return Console(stderr=stderr, soft_wrap=soft_wrap, markup=False, emoji=False, highlight=False)


def print_table(table: Table, out: Console) -> None:
    """Print a table without losing any of it: in a pipe as wide as it is; on a terminal that is too narrow for its
    columns, as a list of its rows."""
    width = out.width
    size = out.measure(table, options=out.options.update(max_width=_WIDEST))
    if not out.is_terminal:
        out.width = max(width, size.maximum)
        out.print(table)
        out.width = width
    elif (size.maximum if any(column.no_wrap for column in table.columns) else size.minimum) <= width:
        out.print(table)
    else:
        _print_list(table, out)


def _print_list(table: Table, out: Console) -> None:
    """A row after the other: its first cell, then every other under the name of its column."""
    from rich.text import Text

    first, *others = table.columns
    rows = zip(*(column.cells for column in table.columns), strict=True)
    for cell, *cells in rows:
        out.print(Text.assemble((str(cell) or str(first.header), "bold")))
        for column, value in zip(others, cells, strict=True):
            if str(value):
                out.print(Text(f"  {column.header}: {value}" if str(column.header) else f"  {value}"))


def note(text: str) -> None:
    """Print a line on stderr, whatever is in it."""
    print(shown(text), file=sys.stderr, flush=True)


def name_left_out(errors: Sequence[DataError]) -> None:
    """Name the rows that cannot be used on stderr: the first `_NAMED` one by one, the others by their number."""
    for error in errors[:_NAMED]:
        note(f"left out: {error}")
    if len(errors) > _NAMED:
        note(f"left out: {len(errors) - _NAMED} more rows")


def tell_defect(what: str, error: Exception) -> None:
    """Print the traceback of an internal error, on stderr, the first time that one of its class is
    raised at its place. The caller counts it and continues."""
    frames = traceback.extract_tb(error.__traceback__)
    key = type(error).__name__, str(frames[-1:])
    if key not in _told:
        _told.add(key)
        text = f"{what} is left out because of a bug in coderlplus; please report it:\n"
        text += "".join(traceback.format_exception(error))
        print(shown(text, keep="\n"), file=sys.stderr, flush=True)
