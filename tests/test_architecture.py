"""Who may import whom: every arrow between packages is a decision, written down here."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import coderlplus
import coderlplus_lab

LIBRARY, LAB = Path(coderlplus.__file__).parent, Path(coderlplus_lab.__file__).parent
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "syntax": set(),
    "moved": {"errors"},
    "terminal": {"errors"},
    "progress": {"terminal"},
    "records": {"errors", "syntax"},
    "programs": {"syntax"},
    "sandbox": {"terminal", "errors", "syntax", "records"},
    "judge": {"terminal", "errors", "syntax", "records", "programs", "sandbox"},
    "tracing": {"errors", "records", "sandbox"},
    "problems": {"errors", "syntax", "records", "programs", "sandbox", "judge"},
    "alignment": {"moved", "terminal", "errors", "records", "programs", "sandbox", "tracing"},
    "rewards": {"terminal", "errors", "records", "programs", "judge", "alignment"},
    "loop": {"errors", "records", "sandbox", "judge", "alignment", "rewards"},
    "evaluation": {
        *("terminal", "progress", "errors", "syntax", "records", "programs", "sandbox", "judge", "tracing"),
        *("problems", "alignment"),
    },
    "engines": {
        "moved",
        "terminal",
        "progress",
        "errors",
        "records",
        "sandbox",
        "judge",
        "problems",
        "alignment",
        "rewards",
        "loop",
        "evaluation",
    },
    "training": {"errors", "engines"},
    "preparation": {
        "terminal",
        "progress",
        "errors",
        "records",
        "programs",
        "sandbox",
        "judge",
        "problems",
        "engines",
        "evaluation",
    },
    "exports": {"errors", "records", "sandbox", "tracing", "alignment", "engines", "preparation"},
    "serving": {"errors", "records", "programs", "sandbox", "judge"},
    "report": {"terminal", "errors", "records", "programs", "sandbox", "alignment", "evaluation"},
    "cli": {
        *(
            "terminal",
            "progress",
            "errors",
            "syntax",
            "records",
            "programs",
            "sandbox",
            "judge",
            "tracing",
            "problems",
            "alignment",
            "rewards",
        ),
        *("engines", "training", "evaluation", "preparation", "report", "serving", "exports"),
    },
    "coderlplus_lab": {
        *(
            "moved",
            "terminal",
            "errors",
            "progress",
            "records",
            "programs",
            "sandbox",
            "judge",
            "tracing",
            "problems",
            "alignment",
            "rewards",
        ),
        *("engines", "evaluation", "exports", "report", "cli"),
    },
}
"""Importer → the packages and modules of coderlplus that it may import. The laboratory stands on top: nothing imports
it."""

HEAVY = {
    "torch",
    "transformers",
    "trl",
    "datasets",
    "accelerate",
    "tokenizers",
    "peft",
    "tensorboard",
    "ray",
    "sklearn",
    "scipy",
}
HEAVY_ALLOWED = {"engines", "evaluation", "coderlplus_lab"}
"""Packages that may import the heavy libraries at all. `rewards` and everything before it must work without them."""


def unit(path: Path) -> str:
    """The package or module directly below coderlplus that a file belongs to, or the laboratory."""
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py") if path.is_relative_to(LIBRARY) else LAB.name


def imports(path: Path) -> set[str]:
    """All absolute module names imported anywhere in a file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= (
                {f"{node.module}.{alias.name}" for alias in node.names}
                if node.module == "coderlplus"
                else {node.module}
            )
    return names


def imported_units(path: Path) -> set[str]:
    """What of coderlplus and its laboratory a file imports, itself left out."""
    parts = [name.split(".") for name in imports(path)]
    found = {part[1] for part in parts if part[0] == "coderlplus" and part[1:2] != ["__version__"] and len(part) > 1}
    return (found | {LAB.name for part in parts if part[0] == LAB.name}) - {unit(path)}


DOORS = (LIBRARY / "__init__.py", LIBRARY / "__main__.py")
"""The public names, and `python -m coderlplus`."""
FILES = sorted(path for package in (LIBRARY, LAB) for path in package.rglob("*.py") if path not in DOORS)


def name_of(path: Path) -> str:
    return str(path.relative_to(LIBRARY.parent))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_are_those_of_the_table(path: Path) -> None:
    forbidden = imported_units(path) - MAY_IMPORT[unit(path)]
    assert not forbidden, f"{unit(path)} imports {', '.join(sorted(forbidden))}, which MAY_IMPORT does not allow"


def test_every_arrow_of_the_table_is_used() -> None:
    used: dict[str, set[str]] = {name: set() for name in MAY_IMPORT}
    for path in FILES:
        used[unit(path)] |= imported_units(path)
    assert {name: targets - used[name] for name, targets in MAY_IMPORT.items() if targets - used[name]} == {}


def test_the_table_has_no_circle() -> None:
    order = list(MAY_IMPORT)
    for name, targets in MAY_IMPORT.items():
        assert all(order.index(target) < order.index(name) for target in targets), name


ENGINES = LIBRARY / "engines"


@pytest.mark.parametrize("path", sorted(ENGINES.rglob("*.py")), ids=name_of)
def test_engines_are_siblings(path: Path) -> None:
    """What they share imports neither of them, and neither imports the other."""
    own = path.relative_to(ENGINES).parts[0]
    others = {engine for engine in ("trl", "verl") if engine != own}
    assert not [
        name for name in imports(path) for engine in others if f"{name}.".startswith(f"coderlplus.engines.{engine}.")
    ]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_heavy_libraries_stay_in_their_packages(path: Path) -> None:
    used = {name.split(".")[0] for name in imports(path)} & HEAVY
    if unit(path) in HEAVY_ALLOWED or path == LIBRARY / "cli" / "doctor.py":
        return
    used -= {"ray"} if path.parent == LIBRARY / "sandbox" / "backends" and path.stem.startswith("ray") else set()
    assert not used


@pytest.mark.parametrize(
    "imported",
    [
        "from coderlplus import records, errors, programs, sandbox, judge, tracing, problems, alignment, rewards, "
        "report, preparation, cli",
        "import coderlplus_lab.cli",
    ],
)
def test_import_of_the_light_part_and_of_the_command_lines_loads_no_heavy_library(imported: str) -> None:
    code = f"{imported}; import sys; print([m for m in {sorted(HEAVY)!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_command_line_of_the_library_loads_nothing_of_the_laboratory() -> None:
    code = "import coderlplus.cli, sys; print([m for m in sys.modules if m.startswith('coderlplus_lab')])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_page_shows_the_table() -> None:
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    shown = {name.strip("`"): set(re.findall(r"`(\w+)`", targets)) for name, sentence, targets in rows if sentence}
    assert shown == MAY_IMPORT
    assert list(shown) == list(MAY_IMPORT)
