"""Whatever stands in names, programs, answers and files: no control character, bidirectional override or half
surrogate pair is printed."""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from coderlplus.terminal import shown

ODD = "\x1b]0;pwned\x07\x1b[2J\x9b31m\u202e[red]a[/] [/nope] :smile: \r\n\x00\x7f\u2028"
HALF = ODD + "\ud800"
NAME = "\x1b[2J\u202e[red][⁄no]\x07\x9b"
"""What a file may be called."""
PROGRAM = f"""\
C = type({ODD!r}.replace(chr(0), ''), (), {{}})
o = C()
o.__dict__[{HALF!r}] = {HALF!r}
class {"E"}(Exception): pass
E.__name__ = E.__qualname__ = {HALF!r}
n = int(input())
m = n * 5 + {len(ODD)}
print({ODD!r} + str(m))
"""


def written(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def problem(**fields: Any) -> dict[str, Any]:
    return {
        "problem_id": HALF,
        "statement": f"Square it, {ODD}.",
        "tests": [{"kind": "stdio", "stdin": "3\n", "stdout": "9\n"}],
    } | fields


def rollout(**fields: Any) -> dict[str, Any]:
    return {"rollout_id": HALF, "problem_id": HALF, "program": PROGRAM} | fields


def task(**fields: Any) -> dict[str, Any]:
    target = {"label": ODD, "value": {"$object": HALF, "fields": {HALF: HALF}}, "scope": ODD}
    given = {
        "task_id": HALF,
        "kind": ODD,
        "prompt": "?",
        "program": PROGRAM,
        "input": {"kind": "stdio", "stdin": "3\n"},
    }
    return given | {"targets": [target], "problem_id": HALF, "rollout_id": HALF} | fields


def run(at: Path, *arguments: str) -> str:
    """What a command prints, stdout and stderr, which must be fit to be printed."""
    done = subprocess.run(
        [sys.executable, "-c", "from coderlplus.cli import main; main()", *arguments],
        cwd=at,
        capture_output=True,
        timeout=120,
    )
    told = (done.stdout + done.stderr).decode("utf-8")
    odd = sorted({one for one in told if one != "\n" and unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")})
    assert not odd, ascii(told)
    assert "Traceback" not in told, ascii(told)
    return told


def test_judge_tasks_and_score(tmp_path: Path) -> None:
    problems = written(
        tmp_path / f"{NAME}.jsonl", problem(), {"problem_id": HALF, "tests": [{"kind": HALF}]}, {"statement": HALF}
    )
    programs = written(
        tmp_path / f"p{NAME}.jsonl",
        rollout(),
        rollout(rollout_id="b", problem_id=HALF + "x"),
        {"rollout_id": HALF, HALF: 1},
    )
    assert "left out" in run(tmp_path, "judge", problems, programs, "-o", f"v{NAME}.jsonl")
    assert "left out" in run(tmp_path, "tasks", problems, programs, "-o", f"t{NAME}.jsonl")
    tasks = written(tmp_path / "tasks.jsonl", task())
    answers = written(tmp_path / "a.jsonl", {"task_id": HALF, "answer": HALF}, {"task_id": HALF + "x", "answer": ""})
    assert "left out" in run(tmp_path, "score", tasks, answers, "-o", f"s{NAME}.jsonl")


def test_errors(tmp_path: Path) -> None:
    good = written(tmp_path / "good.jsonl", rollout())
    for content in (
        json.dumps({HALF: 1}),
        "{" + ODD,
        json.dumps(problem(tests=[])),
        json.dumps(problem(checker=HALF)),
        ODD,
    ):
        bad = tmp_path / f"{NAME}.jsonl"
        bad.write_text(content.replace("\r", "").replace("\n", ""))
        for command in ("judge", "tasks", "score"):
            assert "error:" in run(tmp_path, command, str(bad), good, "-o", "out.jsonl")
        assert "error:" in run(tmp_path, "prepare", str(bad), "-o", "prepared.jsonl", "--benchmarks", "none")
        assert "error:" in run(tmp_path, "eval", "--benchmarks", str(bad), "--samples", good, "-o", "evaluated")


def test_prepare(tmp_path: Path) -> None:
    rows = written(
        tmp_path / f"{NAME}.jsonl",
        problem(statement=HALF),
        problem(problem_id="p", reference="print(int(input()) ** 2)"),
        {HALF: 3},
    )
    assert "kept" in run(tmp_path, "prepare", rows, "-o", f"out{NAME}.jsonl", "--benchmarks", "none")


def test_eval_and_its_page(tmp_path: Path) -> None:
    problems = written(tmp_path / f"{NAME}.jsonl", problem(problem_id=ODD))
    for name, text in (("a", f"```python\n{PROGRAM}\n```{ODD}"), ("b", HALF)):
        samples = written(tmp_path / f"{name}.jsonl", {"problem_id": ODD, "completion": text}, {"problem_id": HALF})
        told = run(
            tmp_path,
            "eval",
            "--benchmarks",
            problems,
            "--samples",
            samples,
            "-o",
            f"{name}{NAME}",
            "--model",
            ODD.replace("\0", ""),
        )
        assert "written to" in told
    assert "A: " in run(tmp_path, "eval", "compare", f"a{NAME}", f"b{NAME}")


@pytest.mark.parametrize("form", [[], ["--steps"], ["--html", f"page{NAME}.html"]])
def test_trace(tmp_path: Path, form: list[str]) -> None:
    program = tmp_path / f"{NAME}.py"
    program.write_text(PROGRAM + "def f(x):\n    y = o\n    raise E(" + repr(HALF) + ")\nf(3)\n")
    (tmp_path / "in").write_text("3\n")
    run(tmp_path, "trace", str(program), "--stdin", "in", *form)
    tasks = written(tmp_path / f"t{NAME}.jsonl", task())
    run(tmp_path, "trace", "--task", tasks, "--answer", json.dumps({ODD: HALF}), *form)
    program.write_text("x = '" + ODD.replace("\n", "").replace("\0", ""))
    assert "error:" in run(tmp_path, "trace", str(program), "--stdin", "in", *form)


def test_report_and_doctor(tmp_path: Path) -> None:
    folder = tmp_path / f"run{NAME}"
    folder.mkdir()
    written(folder / "metrics.jsonl", {"step": 1, HALF: 1.0, "loss": float("nan")})
    (folder / "environment.json").write_text(json.dumps({HALF: [float("nan"), HALF]}))
    assert "index.html" in run(tmp_path, "report", str(folder))
    assert (
        "</script>"
        not in (folder / "index.html").read_text().partition('type="application/json"')[2].partition("</script>")[0]
    )
    written(folder / "samples.jsonl", {HALF: 1})
    assert "error:" in run(tmp_path, "report", str(folder))
    assert "sandbox" in run(tmp_path, "doctor")


def test_shown_escapes_what_does_not_print() -> None:
    for number in range(0x110000):
        one = chr(number)
        escaped = shown(one)
        assert escaped.isprintable()
        assert (escaped == one) == one.isprintable()
