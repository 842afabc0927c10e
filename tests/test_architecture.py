"""Data flows one way through the package: an import that points back fails here."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import coderlplus

PACKAGE = Path(coderlplus.__file__).parent
LAYERS = (
    {"errors", "locks", "records"},
    {"programs", "sandbox"},
    {"judge", "tracing"},
    {"problems", "alignment"},
    {"rewards"},
    {"loop"},
    {"engines", "evaluation"},
    {"probes"},
    {"report", "preparation"},
    {"quickstart"},
    {"study"},
    {"serving"},
    {"cli"},
)
WITHIN_LAYER = {("records", "errors"), ("alignment", "problems"), ("engines", "evaluation")}
"""Imports allowed between neighbours of one layer: importer first."""

HEAVY = {"torch", "transformers", "trl", "datasets", "accelerate", "tokenizers", "peft", "tensorboard", "ray", "sklearn", "scipy"}
HEAVY_ALLOWED = {"engines", "evaluation", "probes", "quickstart", "study"}
"""Packages that may import the heavy libraries at all. `rewards` and everything before it must work without them."""


def unit(path: Path) -> str:
    """The package or module directly below coderlplus that a file belongs to."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """All absolute module names imported anywhere in a file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "coderlplus" else {node.module}
    return names


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.name != "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    rank = {name: index for index, layer in enumerate(LAYERS) for name in layer}
    importer = unit(path)
    assert importer in rank, f"{importer} is in no layer of this test"
    for name in imports(path):
        if not name.startswith("coderlplus."):
            continue
        imported = name.split(".")[1]
        if imported in (importer, "__version__"):
            continue
        allowed = rank[imported] < rank[importer] or (importer, imported) in WITHIN_LAYER
        assert allowed, f"{importer} imports {imported}, which comes later in the house"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_libraries_stay_in_their_rooms(path: Path) -> None:
    used = {name.split(".")[0] for name in imports(path)} & HEAVY
    if unit(path) in HEAVY_ALLOWED or path == PACKAGE / "cli" / "doctor.py":
        return
    used -= {"ray"} if path == PACKAGE / "judge" / "ray.py" else set()
    assert not used


def test_import_of_the_light_part_and_of_the_command_line_loads_no_heavy_library() -> None:
    light = "records, errors, programs, sandbox, judge, tracing, problems, alignment, rewards, report, preparation, cli"
    code = f"from coderlplus import {light}; import sys; print([m for m in {sorted(HEAVY)!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
