"""Both tasksets, loaded and evaluated by the real verifiers with a stub in the place of the model: rewards are ours.

`make verifiers-test` runs them in an environment with verifiers; elsewhere they skip.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import coderlplus as crl

pytest.importorskip("coderlplus_problems", reason="coderlplus-verifiers is not installed: make verifiers-test")

PROBLEMS = [
    crl.Problem(
        problem_id="double",
        statement="Write f(x) that doubles x.",
        entry_point="f",
        tests=(crl.CallTest((2,), 4), crl.CallTest((5,), 10)),
        reference="def f(x):\n    return 2 * x",
    ),
    crl.Problem(
        problem_id="echo",
        statement="Print the input.",
        tests=(crl.StdioTest("a\n", "a\n"),),
        reference="print(input())",
    ),
    crl.Problem(problem_id="one", statement="Print 1.", tests=(crl.StdioTest("", "1\n"),)),
]
PROGRAMS = {
    "double": "Here it is.\n```python\ndef f(x):\n    y = x + 2\n    return y\n```",
    "echo": "```python\nprint(input())\n```",
    "one": "I cannot do that.",
}
HOSTILE = "```python\nimport os, sys\nprint('1')\nos.kill(os.getppid(), 9)\nsys.exit(1)\n```"


@contextmanager
def model(answers: dict[str, str]) -> Iterator[str]:
    """A server with OpenAI's API that answers each prompt, known by its text, with a fixed text."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompt = body["messages"][-1]["content"]
            if isinstance(prompt, list):
                prompt = "".join(part["text"] for part in prompt)
            message = {"role": "assistant", "content": answers[prompt]}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            data = {
                **{"id": "1", "object": "chat.completion", "created": 1, "model": body["model"], "usage": usage},
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            }
            text = json.dumps(data).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None: ...

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{running.server_address[1]}/v1"
    finally:
        running.shutdown()
        running.server_close()


def evaluated(folder: Path, taskset: str, answers: dict[str, str], *options: str) -> list[dict[str, Any]]:
    """The traces of `vf-eval` on a taskset, by the id of the task."""
    with model(answers) as url:
        command = [str(Path(sys.executable).with_name("vf-eval")), taskset, "--client.base-url", url]
        command += ["--model", "stub", "--no-push", "--no-rich"]
        command += ["--output-dir", str(folder), "--run.name", "run", *options]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=250)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = (folder / "run" / "traces.jsonl").read_text(encoding="utf-8").splitlines()
    return [trace for line in lines for trace in json.loads(line)["traces"]]


def rewards(traces: list[dict[str, Any]]) -> dict[str, Any]:
    """The value of the only reward by the id of the task."""
    found = {}
    for trace in traces:
        (reward,) = trace["rewards"].values()
        found[trace["task"]["data"]["id"]] = reward["score"]
    return found


def tasks_of(problems: list[crl.Problem], programs: dict[str, str]) -> list[crl.AlignmentTask]:
    judged = []
    with crl.open_sandbox(workers=1) as sandbox:
        for problem in problems:
            program = crl.extract_program(programs[problem.problem_id], problem.entry_point) or ""
            rollout = crl.Rollout(rollout_id=problem.problem_id, problem_id=problem.problem_id, program=program)
            judged.append(crl.JudgedRollout(problem, rollout, program, crl.Judge(sandbox).judge(problem, rollout)))
        return [
            task
            for kind in ("final_values", "output", "state_at")
            for task in crl.mine(sandbox, judged, settings=crl.AlignmentConfig(kinds=kind), seed=0).tasks  # type: ignore[arg-type]
        ]


def test_programs_have_the_rewards_of_our_judge(tmp_path: Path) -> None:
    crl.write_jsonl(tmp_path / "problems.jsonl", PROBLEMS)
    rows = {problem.problem_id: crl.to_dataset_row(problem) for problem in PROBLEMS}
    answers = {rows[name]["prompt"][-1]["content"]: text for name, text in PROGRAMS.items()}
    with crl.open_sandbox(workers=1) as sandbox:
        ours = crl.code_reward(crl.Judge(sandbox))(
            list(PROGRAMS.values()), [rows[name]["record"] for name in PROGRAMS]
        )
    traces = evaluated(tmp_path, "coderlplus-problems", answers, "--env.taskset.problems", "problems.jsonl")
    assert rewards(traces) == dict(zip(PROGRAMS, ours, strict=True)) == {"double": 0.0, "echo": 1.0, "one": 0.0}


def test_hostile_programs_get_no_reward_and_disturb_no_other(tmp_path: Path) -> None:
    crl.write_jsonl(tmp_path / "problems.jsonl", PROBLEMS)
    texts = PROGRAMS | {"one": HOSTILE}
    answers = {crl.to_dataset_row(one)["prompt"][-1]["content"]: texts[one.problem_id] for one in PROBLEMS}
    traces = evaluated(tmp_path, "coderlplus-problems", answers)
    assert rewards(traces) == {"double": 0.0, "echo": 1.0, "one": 0.0}


def test_answers_have_our_rewards(tmp_path: Path) -> None:
    tasks = tasks_of(PROBLEMS, PROGRAMS)
    assert len(tasks) >= 3
    crl.write_jsonl(tmp_path / "tasks.jsonl", tasks)
    texts = [crl.reference_answer(tasks[0]), '{"output": 3, "y": 4, "x": 1}', "no idea"]
    given = {task.task_id: texts[place % 3] for place, task in enumerate(tasks)}
    answers = {task.prompt: given[task.task_id] for task in tasks}
    traces = evaluated(tmp_path, "coderlplus-alignment", answers, "--env.taskset.tasks", "tasks.jsonl")
    ours = {task.task_id: crl.score_answer(task, given[task.task_id])[0] for task in tasks}
    assert rewards(traces) == ours
    assert {1.0, 0.0} <= set(ours.values())


def test_the_tasksets_validate_what_they_load(tmp_path: Path) -> None:
    """Right answers score 1 and references pass, by verifiers' own check."""
    crl.write_jsonl(tmp_path / "problems.jsonl", PROBLEMS[:2])
    crl.write_jsonl(tmp_path / "tasks.jsonl", tasks_of(PROBLEMS, PROGRAMS))
    for taskset in ("coderlplus-problems", "coderlplus-alignment"):
        command = [str(Path(sys.executable).with_name("vf-validate")), taskset, "--runtime.type", "subprocess"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=250)
        assert done.returncode == 0, done.stderr[-3000:]
        assert '"valid_rate": 1.0' in done.stdout
