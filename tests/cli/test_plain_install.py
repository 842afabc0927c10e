"""A command whose library is not installed says so in a sentence, and which extra brings it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
sys.argv = {argv!r}
from {module} import main
main()
"""
HEAVY = ["torch", "transformers", "trl", "datasets", "accelerate", "peft", "numpy", "sklearn", "tensorboard"]
STUDY = Path(__file__).parents[2] / "recipes" / "study"
PROBLEM = '{"problem_id": "p", "statement": "s", "tests": [{"kind": "stdio", "stdin": "1", "stdout": "1"}]}\n'


@pytest.mark.parametrize(
    ("module", "argv"),
    [
        ("coderlplus.cli", ["train", "run.yaml"]),
        ("coderlplus.cli", ["eval", "--model", "m", "--benchmarks", "p.jsonl", "-o", "out"]),
        ("coderlplus_lab.cli", ["study", "study.yaml"]),
        ("coderlplus_lab.cli", ["quickstart", "--tiny"]),
        ("coderlplus_lab.cli", ["probe", "--model", "m", "--programs", "p.jsonl", "-o", "out"]),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_a_library_that_is_missing_is_one_sentence(module: str, argv: list[str], tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(PROBLEM)
    (tmp_path / "run.yaml").write_text("model: m\nproblems: p.jsonl\noutput: run\ntrl: {max_steps: 1}\n")
    (tmp_path / "study.yaml").write_text(next(STUDY.glob("*.yaml")).read_text())
    code = BLOCK.format(names=HEAVY, argv=["coderlplus", *argv], module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2, done.stderr[-2000:]
    last = done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert re.search(r"error: .*(needs? \w+|library)", done.stderr), last


def test_parquet_without_pyarrow_is_noticed_before_rows_are_validated(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(PROBLEM)
    argv = ["coderlplus", "prepare", "p.jsonl", "--benchmarks", "none", "--parquet", "-o", "out.jsonl"]
    code = (
        "import importlib.util, sys\nfound = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, package=None: None if name == 'pyarrow' else found(name, package)\n"
        f"sys.argv = {argv!r}\nfrom coderlplus.cli import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "--parquet needs pyarrow" in done.stderr
    assert not (tmp_path / "out.jsonl").exists()
