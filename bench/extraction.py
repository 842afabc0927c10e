"""Where is the program in a completion? Four ways on the same completions, judged.

    python bench/extraction.py                                   completions that are made here
    python bench/extraction.py --completions FILE --data DATA...  completions of a model, and problems

Made completions are every shape of `SHAPES` around a right program of every task of `TASKS`, so that a way has found
the program if what it returns passes. A line of FILE has `problem_id`, `completion` and optionally `kind`; a kind that
ends in `continued` is a base model's, which goes on where the starter code ends. DIR holds problem files that
`coderlplus` reads.

The ways: ours with the entry point and starter code of the problem; verl's split of prime_code; LiveCodeBench's rule
(the last two lines that hold a fence); evalplus's `sanitize`, if the extra `bench` is installed, for functions only.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from coderlplus.judge import Judge
from coderlplus.problems import read_problems
from coderlplus.programs import extract_program
from coderlplus.records import CallTest, Limits, Problem, Rollout, StdioTest
from coderlplus.sandbox import Sandbox

try:
    from evalplus.sanitize import sanitize
except ImportError:
    sanitize = None

LIMITS = Limits(cpu_s=3, wall_s=20)


@dataclass(frozen=True)
class Task:
    """A problem, a right program, a wrong one, and how to show the program at work."""

    problem: Problem
    program: str
    draft: str
    usage: str
    usage_output: str


def _function(name: str, head: str, body: str, wrong: str, *tests: tuple[list[object], object]) -> Task:
    starter = f'{head}\n    """{name.replace("_", " ").capitalize()} of the argument."""\n'
    problem = Problem(
        problem_id=name,
        statement="",
        starter_code=starter,
        entry_point=name,
        tests=tuple(CallTest(args, expected) for args, expected in tests),
        limits=LIMITS,
    )
    args, expected = tests[0]
    call = f"{name}({', '.join(map(repr, args))})"
    usage = f"print({call})\nassert {call} == {expected!r}"
    return Task(problem, starter + body, f"{head}\n    return {wrong}\n", usage, repr(expected))


def _script(name: str, program: str, draft: str, usage: str, *tests: tuple[str, str]) -> Task:
    problem = Problem(problem_id=name, statement="", tests=tuple(StdioTest(*test) for test in tests), limits=LIMITS)
    return Task(problem, program, draft, usage, tests[0][1].strip())


TASKS = (
    _function("double", "def double(x):", "    return 2 * x\n", "x", ([3], 6), ([0], 0)),
    _function(
        "middle",
        "def middle(values):",
        "    values = sorted(values)\n    half = len(values) // 2\n"
        "    if len(values) % 2:\n        return values[half]\n"
        "    return (values[half - 1] + values[half]) / 2\n",
        "values[0]",
        ([[3, 1, 2]], 2),
        ([[4, 1]], 2.5),
    ),
    _function(
        "vowels",
        "def vowels(text):",
        "    count = 0\n    for letter in text.lower():\n        count += letter in 'aeiou'\n    return count\n",
        "len(text)",
        (["Audio"], 4),
        (["xyz"], 0),
    ),
    _function(
        "runs",
        "def runs(text):",
        "    if not text:\n        return []\n\n    found = [[text[0], 0]]\n    for letter in text:\n"
        "        if letter != found[-1][0]:\n"
        "            found.append([letter, 0])\n        found[-1][1] += 1\n    return found\n",
        "[]",
        (["aab"], [["a", 2], ["b", 1]]),
        ([""], []),
    ),
    _script("square", "n = int(input())\nprint(n * n)\n", "print(0)\n", ">>> 3\n9", ("3\n", "9\n"), ("12\n", "144\n")),
    _script(
        "total",
        "import sys\n\n\ndef main():\n    print(sum(map(int, sys.stdin.read().split())))\n\n\nmain()\n",
        "import sys\nprint(len(sys.stdin.read()))\n",
        "main()  # reads 1 2 3",
        ("1 2 3\n", "6\n"),
        ("5\n", "5\n"),
    ),
    _script(
        "words",
        "count = int(input())\nfor _ in range(count):\n    word = input()\n    print(word[::-1])\n",
        "print(input())\n",
        "print(word)",
        ("2\nab\nc\n", "ba\nc\n"),
        ("1\nxyz\n", "zyx\n"),
    ),
)

Shape = Callable[[Task], str]
FENCE = "```"
FINAL = "<|start|>assistant<|channel|>final<|message|>"


def _fenced(task: Task, label: str = "python", marks: str = FENCE, end: str | None = None) -> str:
    return f"{marks}{label}\n{task.program}{marks if end is None else end}"


def _draft(task: Task) -> str:
    return f"```python\n{task.draft}```"


def _indented(text: str, margin: str) -> str:
    return "".join(f"{margin}{line}" for line in text.splitlines(keepends=True))


def _body(task: Task) -> str:
    return task.program.removeprefix(task.problem.starter_code)


def _halves(task: Task) -> str:
    first, _, rest = task.program.partition("\n")
    return f"```python\n{first}\n```\nand then\n```python\n{rest}```"


SHAPES: dict[str, dict[str, Shape]] = {
    "one fence": {
        "python": lambda t: f"Here it is:\n\n{_fenced(t)}\n\nIt is short.",
        "py": lambda t: _fenced(t, "py"),
        "no label": lambda t: f"Here it is:\n{_fenced(t, '')}\n",
        "Python 3": lambda t: _fenced(t, "Python 3"),
        "file name": lambda t: _fenced(t, "python:main.py"),
        "attributes": lambda t: _fenced(t, '{.python title="main.py"}'),
        "tildes": lambda t: _fenced(t, "python", "~~~"),
        "Windows line ends": lambda t: _fenced(t).replace("\n", "\r\n"),
    },
    "text on a line of the fence": {
        "before the first": lambda t: f"Answer: {_fenced(t)}",
        "numbered": lambda t: f"1. {_fenced(t)}",
        "bold": lambda t: f"**Solution**{_fenced(t)}",
        "after the last": lambda t: f"{_fenced(t)} That is all.",
        "full stop": lambda t: f"{_fenced(t)}.",
        "glued to the last line": lambda t: f"```python\n{t.program.rstrip()}```",
    },
    "tags and tokens": {
        "<answer>": lambda t: f"<answer>\n{_fenced(t)}\n</answer>",
        "<answer>, glued": lambda t: f"<think>Easy.</think><answer>{_fenced(t)}</answer>",
        "<answer>, no fence": lambda t: f"So:\n<answer>\n{t.program}</answer>\nHope it helps.",
        "[PYTHON]": lambda t: f"[PYTHON]\n{t.program}[/PYTHON]",
        "<code>": lambda t: f"The code:\n<code>\n{t.program}</code>\n",
        "<|im_end|>": lambda t: f"{_fenced(t)}<|im_end|>\n<|im_start|>user\nNow another one.<|im_end|>\n",
        "</s>": lambda t: f"{_fenced(t)}</s>",
        "<|eot_id|>, no fence": lambda t: f"{t.program}<|eot_id|>",
        "<｜end▁of▁sentence｜>": lambda t: f"Easy.\n</think>\n\n{_fenced(t)}<｜end▁of▁sentence｜>",
    },
    "fences that do not match": {
        "four and three": lambda t: f"{_fenced(t, marks='````', end=FENCE)}\nDone.",
        "three and four": lambda t: f"{_fenced(t, end='````')}\nDone.",
        "never closed": lambda t: f"So:\n```python\n{t.program}",
        "only the last": lambda t: f"{t.program}```\n\nThis is the solution.",
        "only the last, words before": lambda t: f"Sure, here it is:\n\n{t.program}```\n",
        "in a markdown fence": lambda t: f"```markdown\n# Answer\n{_fenced(t)}\n```",
        "a stray one before": lambda t: f"```\nIt is short.\n{_fenced(t)}",
        "a fence in a string": lambda t: _fenced(replace(t, program=f'NOTE = """\n```\nx\n```\n"""\n{t.program}')),
    },
    "more than one block": {
        "draft before": lambda t: f"First try:\n{_draft(t)}\nBetter:\n{_fenced(t)}",
        "output after": lambda t: f"{_fenced(t)}\nOutput:\n```\n{t.usage_output}\n```",
        "shell after": lambda t: f"{_fenced(t)}\nRun it:\n```bash\npython main.py\n```",
        "usage after": lambda t: f"{_fenced(t)}\nFor example:\n```python\n{t.usage}\n```",
        "usage after, no labels": lambda t: f"{_fenced(t, '')}\nFor example:\n```\n{t.usage}\n```",
        "imports before": lambda t: f"First\n```python\nimport math\n```\nthen\n{_fenced(t)}",
        "two pieces": _halves,
        "cut in a second answer": lambda t: f"{_fenced(t)}\nOr shorter:\n```python\n{t.program[:20]} = (",
    },
    "reasoning": {
        "with a draft, before": lambda t: f"<think>\nMaybe\n{_draft(t)}\nno.\n</think>\n{_fenced(t)}",
        "only its end": lambda t: f"{_draft(t)}\nno.\n</think>\n{_fenced(t)}",
        "with a draft, after": lambda t: f"{_fenced(t)}\n<reflection>\nNot\n{_draft(t)}\n</reflection>\n",
        "channels": lambda t: f"<|channel|>analysis<|message|>{_draft(t)}<|end|>{FINAL}{_fenced(t)}",
    },
    "Markdown around it": {
        "quotation": lambda t: _indented(_fenced(t), "> "),
        "list": lambda t: "1. So:\n" + _indented(_fenced(t), "   "),
        "tabs": lambda t: _indented(_fenced(t), "\t"),
        "no-break spaces": lambda t: _fenced(t).replace("    ", "\u00a0" * 4),
        "byte order mark": lambda t: f"```python\n\ufeff{t.program}```",
    },
    "no fence": {
        "the program": lambda t: t.program,
        "words before and after": lambda t: f"Sure, here it is:\n\n{t.program}\nThis solves it, as it should.",
        "another problem after": lambda t: f"{t.program}\n\nQuestion: next?\n\ndef other(y):\n    return y * (\n",
    },
}

CONTINUED: dict[str, Shape] = {
    "the body": _body,
    "then tests": lambda t: f"{_body(t)}\n\nif __name__ == '__main__':\n    print(input())\n",
    "then another function": lambda t: f"{_body(t)}\n\ndef other(y):\n    return y * (\n",
    "then wrong assertions": lambda t: f"{_body(t)}\n\nassert {t.problem.entry_point}(None) == 1\n",
    "then the same function": lambda t: f"{_body(t)}\n\n{t.draft}",
    "then prose": lambda t: f"{_body(t)}\n\nQuestion: What is next?\nAnswer: I do not know.\n",
    "then a closing fence": lambda t: f"{_body(t)}```\n\nThis is the solution.\n",
}
"""A base model's; what is not ours gets the starter code before it, as harnesses for base models do."""

Way = Callable[[Problem, str, bool], str | None]


def _ours(problem: Problem, completion: str, continued: bool) -> str | None:
    return extract_program(completion, problem.entry_point, starter_code=problem.starter_code)


def _verl(problem: Problem, completion: str, continued: bool) -> str | None:
    return _whole(problem, completion, continued).split("```python")[-1].split("```")[0]


def _livecodebench(problem: Problem, completion: str, continued: bool) -> str | None:
    lines = _whole(problem, completion, continued).split("\n")
    fences = [number for number, line in enumerate(lines) if "```" in line]
    return "\n".join(lines[fences[-2] + 1 : fences[-1]]) if len(fences) > 1 else ""


def _evalplus(problem: Problem, completion: str, continued: bool) -> str | None:
    return str(sanitize(_whole(problem, completion, continued), problem.entry_point)) if sanitize else None


def _whole(problem: Problem, completion: str, continued: bool) -> str:
    return problem.starter_code + completion if continued else completion


WAYS: dict[str, Way] = {"ours": _ours, "verl": _verl, "LiveCodeBench": _livecodebench, "evalplus": _evalplus}


@dataclass(frozen=True)
class Case:
    problem: Problem
    kind: str
    name: str
    completion: str
    continued: bool = False


def made(seed: int) -> list[Case]:
    """Every shape of every task, with words around it that depend on the seed."""
    rng = random.Random(seed)
    words = ["", "Let us see.\n\n", "Sure! Here's what I'd do, step by step.\n\n", "The idea: count, then print.\n"]
    cases = []
    for kind, shapes in SHAPES.items():
        for name, shape in shapes.items():
            for task in TASKS:
                before = rng.choice(words) if kind in ("one fence", "more than one block") else ""
                cases.append(Case(task.problem, kind, name, before + shape(task)))
    functions = [task for task in TASKS if task.problem.entry_point]
    for name, shape in CONTINUED.items():
        cases += [Case(task.problem, "a base model goes on", name, shape(task), True) for task in functions]
    return cases


def read(completions: Path, data: Sequence[Path]) -> list[Case]:
    """The completions of a file whose problems are in one of the files of data."""
    problems = [problem for path in data for problem in read_problems(path)]
    by_id = {problem.problem_id.rpartition("/")[2]: problem for problem in problems}
    by_id |= {problem.problem_id: problem for problem in problems}
    cases = []
    for number, line in enumerate(completions.read_text().splitlines(), 1):
        row = json.loads(line)
        kind = str(row.get("kind", "completions"))
        problem = by_id[str(row["problem_id"])]
        cases.append(Case(problem, kind, f"line {number}", row["completion"], kind.endswith("continued")))
    return cases


def _told(case: Case) -> str:
    return f"{case.kind}: {case.name}: {case.problem.problem_id}"


def _share(count: Counter[bool], asked: int) -> str:
    return f"{count[True]} of {count.total()}" if count.total() != asked else str(count[True])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--completions", type=Path)
    parser.add_argument("--data", type=Path, nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="name every completion on which a way differs from ours")
    arguments = parser.parse_args()
    cases = read(arguments.completions, arguments.data) if arguments.completions else made(arguments.seed)
    ways = {name: way for name, way in WAYS.items() if name != "evalplus" or sanitize is not None}
    passed: dict[str, dict[str, Counter[bool]]] = defaultdict(lambda: defaultdict(Counter))
    lost: list[str] = []
    with Sandbox() as sandbox:
        judge = Judge(sandbox)
        verdicts = {}
        for name, way in ways.items():
            asked = [(i, case) for i, case in enumerate(cases) if name != "evalplus" or case.problem.entry_point]
            programs = [way(case.problem, case.completion, case.continued) for _, case in asked]
            pairs = [
                (case.problem, Rollout(rollout_id=str(i), problem_id=case.problem.problem_id, program=program or ""))
                for (i, case), program in zip(asked, programs, strict=True)
            ]
            verdicts[name] = dict(zip((i for i, _ in asked), judge.judge_many(pairs), strict=True))
    for name, found in verdicts.items():
        for i, verdict in found.items():
            passed[cases[i].kind][name][verdict.passed] += 1
            if verdict.passed != verdicts["ours"][i].passed:
                lost.append(f"{_told(cases[i])}: {name} {verdict.verdict}")
    table = Table("completions", "number", *ways, title="passed")
    rows = [*passed, "all"]
    passed["all"] = {name: sum((passed[kind][name] for kind in rows[:-1]), Counter()) for name in ways}
    for kind in rows:
        counts = [passed[kind][name] for name in ways]
        table.add_row(kind, str(counts[0].total()), *(_share(count, counts[0].total()) for count in counts))
    Console().print(table)
    if not arguments.completions:
        for i, verdict in verdicts["ours"].items():
            if not verdict.passed:
                print(f"{_told(cases[i])}: ours {verdict.verdict}")
    if arguments.show:
        print("\n".join(lost))


if __name__ == "__main__":
    main()
