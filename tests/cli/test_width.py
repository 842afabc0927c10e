"""No table loses a cell: in a pipe it is as wide as it must be, on a narrow terminal it is a list."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich import box
from rich.console import Console
from rich.table import Table

import coderlplus.cli
import coderlplus_lab.cli
from coderlplus.cli import eval as eval_command
from coderlplus.terminal import print_table

CELLS = st.text("abcdefgh0123456789.–+%", min_size=1, max_size=24)


def printed(table: Table, width: int, *, is_terminal: bool) -> str:
    out = io.StringIO()
    print_table(table, Console(file=out, width=width, force_terminal=is_terminal, soft_wrap=True, no_color=True))
    return re.sub(r"\x1b\[[\d;]*m", "", out.getvalue())


@given(st.lists(st.lists(CELLS, min_size=9, max_size=9), min_size=1, max_size=4), st.integers(20, 120), st.booleans())
def test_every_cell_is_there_whatever_the_width(rows: list[list[str]], width: int, is_terminal: bool) -> None:
    table = Table(*(f"column {n}" for n in range(9)), box=box.SIMPLE)
    for column in table.columns:
        column.no_wrap = True
    for row in rows:
        table.add_row(*row)
    shown = printed(table, width, is_terminal=is_terminal)
    for row in rows:
        assert all(cell in shown for cell in row)
    assert all(f"column {n}" in shown for n in range(1, 9))
    if not is_terminal:
        assert len([line for line in shown.splitlines() if rows[0][0] in line and rows[0][-1] in line]) >= 1


def test_a_comparison_names_its_benchmarks_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    one = {"metric": "accuracy", "a": 0.5, "b": 0.6, "difference": 0.1, "low": -0.05, "high": 0.2, "p_value": 0.03}
    numbers = one | {"problems": 1055, "a_better": 100, "b_better": 200, "notes": []}
    names = ("livecodebench-execution", "livecodebench-testoutput", "cruxeval-o")
    result = {"a": "A", "b": "B", "benchmarks": dict.fromkeys(names, numbers)}
    monkeypatch.setattr(eval_command, "compare_folders", lambda a, b: result)
    for is_terminal in (True, False):
        out = io.StringIO()
        monkeypatch.setattr(
            eval_command, "console", lambda out=out, t=is_terminal: Console(file=out, width=80, force_terminal=t)
        )
        eval_command.compare(Path("a"), Path("b"), as_json=False)
        assert all(name in out.getvalue() for name in names)


def test_every_command_prints_its_tables_so() -> None:
    for path in (*Path(coderlplus.cli.__file__).parent.glob("*.py"), Path(coderlplus_lab.cli.__file__)):
        text = path.read_text(encoding="utf-8")
        assert ".print(table)" not in text, path
        assert "Table(" not in text or "print_table(" in text, path
