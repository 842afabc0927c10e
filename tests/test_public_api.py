"""`import coderlplus as crl`: the public names, frozen; what importing them loads; each has a runnable example."""

from __future__ import annotations

import ast
import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import coderlplus as crl

_NAMES = """
AlignmentConfig AlignmentLoop AlignmentTask CallInput CallTest CheckTest CheckerProgram CodeRLPlusError ConfigError
DataError Failure Judge JudgedRollout Limits NoTestsError Problem Reward Rollout SandboxError StdioInput StdioTest
Target Trace Verdict alignment_reward code_reward evaluate extract_program load_problems mine open_sandbox read_jsonl
reference_answer score_answer select to_dataset_row trace train trl_alignment write_jsonl
"""
NAMES = _NAMES.split()


def fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_names_are_these() -> None:
    assert crl.__all__ == NAMES
    assert set(NAMES) <= set(dir(crl))


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_what_the_type_checker_sees(name: str) -> None:
    """The imports for type checkers and those made on use lead to the same object."""
    block = next(node for node in ast.parse(Path(crl.__file__).read_text()).body if isinstance(node, ast.If))
    modules = {
        alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert modules.keys() == set(NAMES)
    if name == "trl_alignment":
        pytest.importorskip("trl")
    __import__(str(modules[name]))
    assert getattr(crl, name) is getattr(sys.modules[str(modules[name])], name)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_an_example_that_runs(name: str) -> None:
    """The example is where pytest collects doctests: in a module of the package, in the object's own docstring."""
    if name == "trl_alignment":
        pytest.importorskip("trl")
    public = getattr(crl, name)
    assert public.__module__.startswith("coderlplus.")
    assert doctest.DocTestParser().get_examples(inspect.getdoc(public) or ""), f"crl.{name} has no example"


def test_importing_loads_nothing() -> None:
    """Not even `typing`: the process of every judged program imports the package."""
    code = "import sys; before = set(sys.modules); import coderlplus; print(sorted(set(sys.modules) - before))"
    assert set(ast.literal_eval(fresh(code))) <= {"coderlplus", "__future__"}


def test_the_names_for_judging_and_tracing_load_nothing_heavy() -> None:
    heavy = ("torch", "trl", "transformers", "datasets", "ray", "typer", "rich", "pydantic")
    light = "import coderlplus as crl, sys; [getattr(crl, n) for n in %r]; print([m for m in %r if m in sys.modules])"
    records = [name for name in NAMES if name[0].isupper() and name not in ("AlignmentLoop", "Judge")]
    assert fresh(light % (records, heavy)) == "[]"
    assert fresh(light % ([name for name in NAMES if name != "trl_alignment"], heavy[:5])) == "[]"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'coderlplus' has no attribute 'Sandbox'"):
        _ = crl.Sandbox  # type: ignore[attr-defined]


def test_examples_use_public_names_only() -> None:
    root = Path(__file__).parents[1]
    for path in sorted((root / "examples").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
                assert not [name for name in names if name.startswith("coderlplus.")], path.name
            elif isinstance(node, ast.ImportFrom):
                assert not str(node.module).startswith("coderlplus"), path.name
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "crl":
                assert node.attr in NAMES, f"{path.name}: crl.{node.attr}"


def test_the_reference_lists_every_name() -> None:
    page = (Path(__file__).parents[1] / "docs" / "reference.md").read_text(encoding="utf-8")
    listed = [line.rpartition(".")[2] for line in page.splitlines() if line.startswith("::: ")]
    assert sorted(listed) == NAMES
