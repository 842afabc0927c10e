"""The examiner need not hear the answers that it heard of another program: the verdict is the same."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coderlplus.judge import Judge
from coderlplus.judge.kept import Kept, key
from coderlplus.judge.program import judge_program
from coderlplus.records import CheckTest, Limits, Problem, Verdict
from coderlplus.sandbox import Job, Outcome

LIMITS = Limits(cpu_s=0.3, wall_s=3, memory_mb=256, output_kb=64)
EXAMINED = "import operator\n"
"""What is made of answers by functions of `operator` cannot be planned."""
TESTS = {
    "equal": [f"assert operator.eq(f({n}), {n * 2})" for n in range(5)],
    "one assert": ["assert operator.eq([f(n) for n in range(5)], [0, 2, 4, 6, 8])"],
    "next call of the answer": ["n = 1\nfor _ in range(4):\n    n = f(operator.add(n, 0))\nassert n == 16"],
    "until": ["n = 3\nwhile operator.lt(n, 50):\n    n = f(n)\nassert n == 96"],
    "changed in place": ["xs = [1, 2]\nf(xs)\nassert operator.eq(xs, [1, 2, 3]) or operator.eq(f(2), 4)"],
    "exceptions": ["try:\n    n = operator.pos(f(3))\nexcept ValueError:\n    n = 0\nassert n in (0, 6)"],
    "message": ["assert operator.eq(f(4), 8), f'got {f(4)!r}'"],
    "kept for a later test": [
        "kept.append(f)\nassert operator.eq(f(1), 2)",
        "n = operator.add(f(2), 1)\nassert operator.eq(kept[0](n), 10)",
    ],
    "the time, without an import": ["t = time.perf_counter()\nf(3)\nassert operator.gt(time.perf_counter(), t)"],
    "keywords": ["assert operator.eq(f(n=3), 6)", "assert operator.eq(f(**{'n': 0}), 0)"],
}
SETUP_CODE = "kept = []"
BODIES = [
    "return n * 2",
    "return n + n",
    "return 2 * n if n != 3 else 7",
    "return n",
    "return float(n * 2)",
    "return None",
    "return [n]",
    "return {n: {n}}",
    "return iter([n])",
    "return object()",
    "return float('nan')",
    "return 1 / n",
    "return 'x' * 6_000_000",
    "seen.append(n); return n * 2 + (len(seen) > 3)",
    "print('x' * 99_999); return n * 2",
    "x = bytearray(10**9); return n * 2",
    "if n == 3: raise ValueError('three')\n    return n * 2",
    "if type(n) is list: n.append(3)\n    return n * 2",
    "while n == 3: pass\n    return n * 2",
    "if n == 2: os._exit(0)\n    return n * 2",
    "if n == 2: exit(3)\n    return n * 2",
    "os.write(4, b'end\\n'); return n * 2",
    "os.write(4, b'x'); return n * 2",
    "return n * 2 if os.path.exists('/proc/self/fd/7') else n",
    "x = bytearray(270 << 20) if n == 0 else n; return n * 2 if n != 2 else 7",
    "f(n)",
    "return sorted({n, str(n)}, key=str)",
    "yield n",
    "return (n, n), n",
]
LOADED = (
    "1 / 0",
    "while True: pass",
    "x = bytearray(10**9)",
    "raise SystemExit(3)",
    "import os\nos._exit(3)",
    "import os\nos._exit(0)",
    "import os\nos.close(4)",
    "import os\nos.write(4, b'{\"value\": 9}\\n')",
    "import os\nos.write(4, b'{\"loaded\": true}\\n')",
    'import os\nos.write(4, b\'{"syntax_error": "no"}\\n\')',
)
"""What programs do before they are asked."""
PROGRAMS = (
    *("import os\n" * ("os." in body) + f"seen = []\ndef f(n):\n    {body}\n" for body in BODIES),
    *(f"{code}\ndef f(n): return n * 2" for code in LOADED),
    "def f(n",
    "def g(n): return n",
)


@pytest.fixture
def verdict_with(judge: Judge) -> Callable[..., tuple[Verdict, list[str]]]:
    """A verdict with what was heard before, or without, and the guests that ran."""

    def verdict_with(kept: Kept, name: str, program: str, all_tests: bool = False) -> tuple[Verdict, list[str]]:
        guests: list[str] = []

        def execute(job: Job) -> Outcome:
            guests.append(job.guest.partition(":")[2] + ", serve" * (job.peer is not None))
            return judge.sandbox.run([job])[0]

        tests = tuple(CheckTest(EXAMINED + code) for code in TESTS[name])
        problem = Problem(
            problem_id=name, statement="", tests=tests, entry_point="f", limits=LIMITS, setup_code=SETUP_CODE
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("coderlplus.judge.conversations._kept", kept)
            return judge_program(execute, problem, program, all_tests), [each for each in guests if each != "dry_run"]

    return verdict_with


def said(verdict: Verdict) -> dict[str, Any]:
    """All but what is measured, and addresses."""
    data = verdict.to_json()
    failure = data["first_failure"]
    if failure:
        failure["detail"] = "" if verdict.verdict == "time_limit" else re.sub(r"0x\w+", "0x", failure["detail"])
    return {name: value for name, value in data.items() if name not in ("cpu_s", "wall_s", "peak_mb")}


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(TESTS)), st.permutations(PROGRAMS), st.booleans())
def test_no_verdict_depends_on_what_was_heard_before(
    verdict_with: Callable[..., tuple[Verdict, list[str]]], name: str, programs: list[str], all_tests: bool
) -> None:
    kept, nothing = Kept(max_bytes=1 << 20), Kept(max_bytes=0)
    for program in programs:
        heard, _ = verdict_with(kept, name, program, all_tests)
        alone, _ = verdict_with(nothing, name, program, all_tests)
        assert said(heard) == said(alone), program


@pytest.mark.parametrize("name", TESTS)
def test_the_examiner_hears_the_same_answers_once(
    verdict_with: Callable[..., tuple[Verdict, list[str]]], name: str
) -> None:
    kept = Kept(max_bytes=1 << 20)
    first, second = f"def f(n):\n    {BODIES[0]}", f"def f(n):\n    {BODIES[1]}"
    again = ["examine, serve"] if name == "the time, without an import" else ["serve_again"]
    assert verdict_with(kept, name, first)[1] == ["examine, serve"]
    assert verdict_with(kept, name, second)[1] == again


def test_other_answers_are_heard_without_the_program(verdict_with: Callable[..., tuple[Verdict, list[str]]]) -> None:
    kept = Kept(max_bytes=1 << 20)
    right, wrong = f"def f(n):\n    {BODIES[0]}", f"def f(n):\n    {BODIES[2]}"
    assert verdict_with(kept, "equal", right)[0].passed
    assert verdict_with(kept, "equal", wrong)[1] == ["serve_again", "examine"]
    verdict, guests = verdict_with(kept, "equal", wrong + " ")
    assert guests == ["serve_again"]
    assert (verdict.verdict, verdict.tests_passed) == ("wrong_answer", 3)


def test_calls_that_a_wrong_answer_leads_to_are_made_to_one_program(
    verdict_with: Callable[..., tuple[Verdict, list[str]]],
) -> None:
    kept = Kept(max_bytes=1 << 20)
    verdict_with(kept, "until", "def f(n): return n + 5 if n > 3 else 4")
    wrong = "def f(n): return n if n > 40 else n * 2 + 1 if n < 24 else n * 3"
    for number, guests in enumerate([["serve_again", "examine", "examine, serve"], ["serve_again"]]):
        assert verdict_with(kept, "until", wrong + " " * number)[1] == guests


def test_a_program_that_could_tell_is_heard_by_the_examiner(
    verdict_with: Callable[..., tuple[Verdict, list[str]]],
) -> None:
    kept = Kept(max_bytes=1 << 20)
    for program in ("def f(n): return n * 2", "import os\ndef f(n): return n * 2"):
        assert verdict_with(kept, "equal", program)[1] == ["examine, serve"]


def test_what_is_kept_takes_no_more_memory_than_it_may() -> None:
    kept = Kept(max_bytes=1 << 20)
    tracemalloc.start()
    for number in range(9_000):
        kept.put(key(number), [number])
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 1.05 * (1 << 20)


def test_a_program_that_is_asked_something_else_is_asked_by_the_examiner(
    verdict_with: Callable[..., tuple[Verdict, list[str]]],
) -> None:
    kept = Kept(max_bytes=1 << 20)
    assert verdict_with(kept, "until", "def f(n): return n * 2")[0].passed
    assert verdict_with(kept, "until", "def f(n): return n * n")[1] == ["serve_again", "examine", "examine, serve"]
