"""A hundred times the work needs hardly more memory, and a kill at any place loses and repeats nothing: counted in
bytes and lines, not in seconds."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coderlplus.judge import Judge
from coderlplus.problems import read_pairs
from coderlplus.records import Problem, Rollout
from coderlplus.sandbox import Sandbox

FEW, MANY = 1_000, 21_000
MOST = 200
"""Bytes of memory that a further row may take; a row here has more than 1,000."""
PROBLEM = {
    "problem_id": "p",
    "statement": "Add one.",
    "entry_point": "f",
    "tests": [{"kind": "call", "args": [1], "expected": 2}],
}
PROGRAM = "def f(x): return x + 1\n" + "# a comment that memory should not hold\n" * 25
PEAK = """
import atexit
from pathlib import Path
def say():
    lines = Path("/proc/self/status").read_text().splitlines()
    Path("peak").write_text(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
atexit.register(say)
from coderlplus.cli import main
main()
"""
FILES = ["problems.jsonl", "programs.jsonl", "-o", "out.jsonl", "--json"]
PREPARE = ["prepare", "programs.jsonl", "--benchmarks", "none", "-o", "out.jsonl", "--json"]
EVAL = ["eval", "--benchmarks", "problems.jsonl", "--samples", "programs.jsonl", "-o", "out", "--json"]
COMMANDS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "judge": (["judge", *FILES], {"problem_id": "p", "program": PROGRAM}),
    "judge, samples": (["judge", *FILES], {"task_id": "p", "solution": PROGRAM}),
    "tasks": (["tasks", *FILES], {"problem_id": "p", "program": PROGRAM}),
    "prepare": (PREPARE, PROBLEM | {"starter_code": PROGRAM, "statement": ""}),
    "eval": (EVAL, {"task_id": "p", "solution": PROGRAM}),
}


def write_rows(command: str, count: int) -> None:
    _, row = COMMANDS[command]
    Path("problems.jsonl").write_text(json.dumps(PROBLEM) + "\n")
    with Path("programs.jsonl").open("w") as file:
        if command == "prepare":  # all but one are cut before anything runs
            file.write(json.dumps(PROBLEM) + "\n")
        for number in range(count):
            named = {"rollout_id": f"r{number}"} if "program" in row else {}
            file.write(json.dumps(row | named) + "\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_row_more_takes_few_bytes(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, row = COMMANDS[command]
    peaks = []
    for count in (FEW, MANY):
        folder = tmp_path / str(count)
        folder.mkdir()
        monkeypatch.chdir(folder)
        write_rows(command, count)
        subprocess.run([sys.executable, "-c", PEAK, *arguments], check=True, capture_output=True)
        peaks.append(1024 * int(Path("peak").read_text()))
    assert len(json.dumps(row)) > 1_000
    assert (peaks[1] - peaks[0]) / (MANY - FEW) < MOST


def test_a_stream_of_programs_is_judged_in_the_same_memory() -> None:
    problem = Problem.from_json(PROBLEM)
    taken = 0

    def pairs() -> Iterator[tuple[Problem, Rollout]]:
        nonlocal taken
        for number in range(MANY):
            taken += 1
            text = f"{PROGRAM}# {number % 50}"
            yield problem, Rollout(rollout_id=f"r{number}", problem_id="p", program=text)

    with Sandbox(workers=1) as sandbox:
        held = []
        for done, (index, verdict) in enumerate(Judge(sandbox).judge_as_completed(pairs())):
            assert verdict.rollout_id == f"r{index}"
            assert taken - done <= 64
            if done == FEW:
                tracemalloc.start()
            if done in (2 * FEW, MANY - 1):
                held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert held[1] - held[0] < 100_000


def test_pairs_can_be_gone_through_again_and_a_file_that_shrinks_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows("judge", 5)
    lines = Path("programs.jsonl").read_text().splitlines(keepends=True)
    Path("programs.jsonl").write_text("".join(["{\n", *lines, lines[2], "[]\n"]))
    bad: list[Any] = []
    pairs = read_pairs("problems.jsonl", "programs.jsonl", bad)
    assert [str(error).partition(":")[2].partition(":")[0] for error in bad] == ["1", "7", "8"]
    for _ in range(2):
        assert [rollout.rollout_id for _, rollout in pairs] == [f"r{number}" for number in range(len(pairs))]
    Path("programs.jsonl").write_text("".join(lines[:3]))
    with pytest.raises(ValueError, match=r"programs\.jsonl has changed while it was read"):
        list(pairs)


KILLED = {
    "judge": (["judge", *FILES], "out.jsonl", lambda line: line["rollout_id"]),
    "tasks": (["tasks", *FILES], "out.jsonl.unfinished", lambda line: line["start"]),
    "eval": (EVAL, "out/problems/verdicts.jsonl", lambda line: line["sample"]),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("command", KILLED)
def test_killed_at_random_places_nothing_is_lost_or_made_twice(
    command: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, journal, key = KILLED[command]
    count = 400
    write_rows("judge", 1)
    rng = random.Random(f"{command}/{seed}")
    field = "problem_id" if command != "eval" else "task_id"
    text = "program" if command != "eval" else "solution"
    with Path("programs.jsonl").open("w") as file:
        for number in range(count):
            file.write(json.dumps({"rollout_id": f"r{number}", field: "p", text: f"{PROGRAM}# {number}"}) + "\n")
    whole = b""
    for kill in range(4):
        process = subprocess.Popen([sys.executable, "-c", PEAK, *arguments], stdout=subprocess.DEVNULL)
        before = whole.count(b"\n")
        wanted = before + rng.randrange(1, 1 + count // (200 if command == "tasks" else 5))
        while process.poll() is None and kill < 3 and _read(journal).count(b"\n") < wanted:
            time.sleep(0.001)
        if kill < 3:
            time.sleep(rng.random() / 100)
            process.send_signal(signal.SIGKILL)
        elif command == "tasks":  # its journal goes when it is done
            while process.poll() is None:
                whole = max(whole, _read(journal), key=len)
                time.sleep(0.001)
        process.wait()
        now = _read(journal) or whole
        assert now.startswith(whole[: whole.rfind(b"\n") + 1])  # lines that were there are not made again
        whole = now[: now.rfind(b"\n") + 1]
    assert process.returncode == 0
    made = Counter(key(json.loads(line)) for line in whole.splitlines())
    assert set(made.values()) == {1}
    assert len(made) == (-(-count // 64) if command == "tasks" else count)


def _read(path: str) -> bytes:
    return Path(path).read_bytes() if Path(path).exists() else b""
