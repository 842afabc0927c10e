"""Generated inputs of any size for `scale.py`: cheap programs, the same for the same seed and size."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PROBLEMS = 164
_TEXT = (
    "sum count list number string value pair even odd first last largest smallest index sorted reverse unique vowel "
    "digit prime factor power square root matrix row column path graph node edge tree leaf depth word letter line"
)
WORDS = _TEXT.split()
Row = dict[str, Any]


def problem(number: int, *, reference: bool = False) -> Row:
    """Add a number; five calls."""
    rng = random.Random(number)
    statement = f"Write f(x) that adds {number} to x. " + " ".join(rng.choices(WORDS, k=30))
    tests = [{"kind": "call", "args": [x], "expected": x + number} for x in range(5)]
    row = {"problem_id": f"p{number}", "statement": statement, "entry_point": "f", "tests": tests}
    return row | ({"reference": program(number, number)} if reference else {})


def program(number: int, serial: int, *, is_right: bool = True) -> str:
    return f"def f(x):\n    y = x + {number + 1 - is_right}\n    return y\n# {serial}\n"


def programs(count: int, distinct: int, seed: int, wrong: float) -> Iterator[tuple[int, str]]:
    """(problem, program), of which `distinct` differ and the share `wrong` fails."""
    rng = random.Random(seed)
    for serial in range(count):
        which = serial if distinct >= count else rng.randrange(distinct)
        number = which % PROBLEMS
        yield number, program(number, which, is_right=random.Random(f"{seed}/{which}").random() >= wrong)


def big_row(number: int) -> Row:
    """A problem on standard input whose ten tests have 20 kB each."""
    line = f"{number} " * (20_000 // (len(str(number)) + 1))
    tests = [{"kind": "stdio", "stdin": f"{place}\n{line}\n", "stdout": f"{place + number}\n"} for place in range(10)]
    statement = " ".join(random.Random(number).choices(WORDS, k=40))
    return {"problem_id": f"b{number}", "statement": f"Problem {number}: {statement}", "tests": tests} | {
        "reference": f"n = int(input())\nprint(n + {number})\n"
    }


def write(path: Path, rows: Iterator[Row]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")


def _judged(folder: Path, count: int, seed: int, distinct: int, wrong: float) -> list[str]:
    write(folder / "problems.jsonl", map(problem, range(PROBLEMS)))
    pairs = enumerate(programs(count, distinct, seed, wrong))
    rows = ({"rollout_id": f"r{i:07d}", "problem_id": f"p{n}", "program": text} for i, (n, text) in pairs)
    write(folder / "programs.jsonl", rows)
    return ["problems.jsonl", "programs.jsonl", "-o", "out.jsonl", "--json"]


def judge_unique(folder: Path, count: int, seed: int) -> list[str]:
    return ["judge", *_judged(folder, count, seed, count, 0.3)]


def judge_repeated(folder: Path, count: int, seed: int) -> list[str]:
    return ["judge", *_judged(folder, count, seed, 500, 0.3)]


def tasks(folder: Path, count: int, seed: int) -> list[str]:
    return ["tasks", *_judged(folder, count, seed, count, 0.1)]


def prepare_rows(folder: Path, count: int, seed: int) -> list[str]:
    write(folder / "set.jsonl", (problem(seed + number, reference=True) for number in range(count)))
    return ["prepare", "set.jsonl", "--benchmarks", "none", "-o", "out.jsonl", "--json"]


def prepare_bytes(folder: Path, count: int, seed: int) -> list[str]:
    write(folder / "set.jsonl", (big_row(seed + number) for number in range(count)))
    return ["prepare", "set.jsonl", "--benchmarks", "none", "-o", "out.jsonl", "--json"]


def evaluated(folder: Path, count: int, seed: int) -> list[str]:
    """The samples of a problem follow each other, as samplers write them."""
    write(folder / "problems.jsonl", map(problem, range(PROBLEMS)))
    rng = random.Random(seed)

    def rows() -> Iterator[Row]:
        for place in range(count):
            number = place * PROBLEMS // count
            which = rng.randrange(max(1, count // PROBLEMS // 20))
            text = program(number, which, is_right=rng.random() >= 0.05)
            yield {"problem_id": f"p{number}", "completion": f"```python\n{text}```"}

    write(folder / "samples.jsonl", rows())
    return ["eval", "--benchmarks", "problems.jsonl", "--samples", "samples.jsonl", "-o", "out", "--json"]


COMMANDS: dict[str, tuple[int, str, Callable[[Path, int, int], list[str]]]] = {
    "judge": (2_000, "programs, all different", judge_unique),
    "judge-repeated": (10_000, "programs, 500 different", judge_repeated),
    "as-completed": (10_000, "programs in `judge_as_completed`, 500 different", judge_repeated),
    "killed": (2_000, "programs, all different; `judge` killed five times", judge_unique),
    "prepare": (1_000, "rows", prepare_rows),
    "prepare-bytes": (100, "rows of 200 kB", prepare_bytes),
    "tasks": (2_000, "programs, a tenth wrong", tasks),
    "eval": (2_000, "completions, some tenth different, a twentieth wrong", evaluated),
}
"""Name → how many at 1 ×, of what, and what writes the files and says the arguments."""
