"""Do other judges say the same of recorded programs?

    python bench/agreement.py RECORDED ... [--programs 2000] [--peers PYTHON] [--livecodebench CHECKOUT]
    [--verl CHECKOUT] [--coderlplus-published CHECKOUT] [--sandboxfusion URL PID] [--json FILE]

RECORDED are files of programs with recorded verdicts that `coderlplus` reads, as those of LDB and LiveCodeBench. Every
program is judged by us, and on the same tests by each judge that has such tests: standard input, calls, or statements
that raise. Statements `assert f(LITERALS) == LITERAL` are also given as calls, to those that have nothing else. The
first table counts programs, the second the disagreements by what each side said, with programs to look at.
Interrupted, it shows what there is.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from coderlplus.judge import Judge
from coderlplus.problems import RecordedProgram, read_recorded
from coderlplus.records import CallTest, CheckTest, StdioTest
from coderlplus.sandbox import Sandbox
from judge import add_peers, given_peers
from peers import PEERS

Asked = dict[str, Any]
EXAMPLES = 4
KINDS = ("checks", "stdio", "calls")
"""A judge that has several is asked for the first."""


class Peer:
    """A judge in a process of its own."""

    def __init__(self, python: str, name: str, given: list[str]) -> None:
        command = [python, str(Path(__file__).with_name("peers.py")), name, *given]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def say(self, asked: Asked) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args!r} ended")
        return str(json.loads(line))


def asked_of(item: RecordedProgram) -> dict[str, Asked]:
    """Kind of tests → what judges that have them are asked; nothing of a test that JSON cannot write."""
    problem = item.problem
    tests = problem.tests
    found: dict[str, list[Any]] = {}
    entry_point = problem.entry_point or ""
    if all(isinstance(test, StdioTest) for test in tests):
        found["stdio"] = [(test.stdin, test.stdout) for test in tests if isinstance(test, StdioTest)]
    elif all(isinstance(test, CallTest) and not test.kwargs for test in tests):
        found["calls"] = [(list(test.args), test.expected) for test in tests if isinstance(test, CallTest)]
    elif all(isinstance(test, CheckTest) for test in tests):
        codes = [test.code for test in tests if isinstance(test, CheckTest)]
        found["checks"] = codes
        calls = [_call(code) for code in codes]
        names = {call[0] for call in calls if call is not None}
        if None not in calls and len(names) == 1:
            found["calls"], entry_point = [call[1:] for call in calls if call is not None], names.pop()
    if "calls" in found and not _is_json(found["calls"]):
        del found["calls"]
    return {
        kind: {
            "setup": problem.setup_code,
            "program": item.rollout.program,
            "kind": kind,
            "tests": tests,
            "entry_point": entry_point,
        }
        for kind, tests in found.items()
    }


def _call(code: str) -> tuple[str, list[Any], Any] | None:
    """Function, arguments and result of an assert with literals."""
    match ast.parse(code).body:
        case [ast.Assert(ast.Compare(ast.Call(ast.Name(name), arguments, []), [ast.Eq()], [expected]))]:
            try:
                return name, [ast.literal_eval(each) for each in arguments], ast.literal_eval(expected)
            except (ValueError, TypeError):
                return None
    return None


def _is_json(value: Any) -> bool:
    """Whether JSON gives the same back; pairs, which these tests are, count as lists."""

    def plain(each: Any) -> bool:
        if isinstance(each, list):
            return all(map(plain, each))
        if isinstance(each, dict):
            return all(isinstance(key, str) for key in each) and all(map(plain, each.values()))
        return each is None or isinstance(each, bool | int | float | str)

    return all(plain(list(test)) for test in value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recorded", nargs="+", type=Path)
    parser.add_argument("--programs", type=int, default=2000, help="this many, spread over all")
    add_peers(parser)
    parser.add_argument("--json", type=Path, help="write every disagreement there")
    settings = parser.parse_args()
    for path in settings.recorded:
        if not path.is_file():
            raise SystemExit(f"{path} is not there, so nothing is compared")
    items = [item for path in settings.recorded for item in read_recorded(path)]
    count = min(settings.programs, len(items))
    items = [items[place * len(items) // count] for place in range(count)]
    with Sandbox(workers=1) as sandbox:
        verdicts = Judge(sandbox).judge_many((item.problem, item.rollout) for item in items)
    recorded = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    peers = {name: Peer(settings.peers, name, given) for name, given in given_peers(settings).items()}
    same: dict[str, int] = defaultdict(int)
    differ: dict[str, dict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    stopped = False
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    progress = Console(stderr=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, (item, verdict) in enumerate(zip(items, verdicts, strict=True)):
            if number % 50 == 0:
                progress.print(f"{number} of {count} programs")
            asked = asked_of(item)
            kinds = {
                name: next((kind for kind in KINDS if kind in asked and kind in PEERS[name][1]), "") for name in peers
            }
            given = [(name, kind) for name, kind in kinds.items() if kind]
            try:
                says = [pool.submit(peers[name].say, asked[kind]) for name, kind in given]
                answers = [said.result() for said in says]
            except KeyboardInterrupt:
                stopped = True
                break
            recorded[verdict.passed, bool(item.is_solved)] += 1
            for (name, kind), said in zip(given, answers, strict=True):
                row = f"{name}, {kind}"
                if (said == "passed") == verdict.passed:
                    same[row] += 1
                else:
                    differ[row][verdict.verdict, said].append(verdict.rollout_id)
    count = sum(recorded.values())
    if stopped:
        progress.print(f"stopped; {count} programs were judged by all")
    table = Table("judge", "programs", "same verdict", "only they pass", "only we pass", title="Verdicts")
    for row in sorted({*same, *differ}):
        theirs = sum(len(ids) for (ours, _), ids in differ[row].items() if ours != "passed")
        others = sum(len(ids) for (ours, _), ids in differ[row].items() if ours == "passed")
        table.add_row(row, *map(str, (same[row] + theirs + others, same[row], theirs, others)))
    both, ours, theirs = recorded[True, True] + recorded[False, False], recorded[True, False], recorded[False, True]
    table.add_row("recorded verdicts", *map(str, (count, both, theirs, ours)))
    console = Console(width=150)
    console.print(table)
    classes = Table("judge", "we say", "they say", "programs", "such as", title="Disagreements")
    for row, found in sorted(differ.items()):
        for (ours_said, said), ids in sorted(found.items(), key=lambda pair: -len(pair[1])):
            classes.add_row(row, ours_said, said, str(len(ids)), ", ".join(ids[:EXAMPLES]))
    console.print(classes)
    if settings.json:
        rows = [
            {"judge": row, "we": ours_said, "they": said, "programs": ids}
            for row, found in differ.items()
            for (ours_said, said), ids in found.items()
        ]
        settings.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
