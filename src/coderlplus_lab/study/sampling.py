"""What an initial model writes for the training problems, before any training: passing programs for rejection
sampling, and tasks from failures (off-policy).

Written chunk by chunk; an interrupted sampling resumes with the next chunk.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coderlplus.alignment import AlignmentConfig, JudgedRollout, mine
from coderlplus.engines.models import load_tokenizer
from coderlplus.engines.settings_files import over
from coderlplus.evaluation.generate import generate
from coderlplus.judge import Judge
from coderlplus.records import AlignmentTask, Problem, Rollout, read_jsonl, write_jsonl
from coderlplus.report.folders import read_object
from coderlplus.rewards import reward_rows
from coderlplus.sandbox.backends import tracing_sandbox
from coderlplus_lab.files import write_json
from coderlplus_lab.study.folder import StudyFolder
from coderlplus_lab.study.initial_models import device, initial_model_path, load_model
from coderlplus_lab.study.settings import OFF_POLICY_TASKS, Study

CHUNK = 250
"""Problems sampled between two notes."""
PASSED, TASKS = "passed.jsonl", "failed_tasks.jsonl"


def sample_initial_model(study: Study, layout: StudyFolder, name: str, seed: int) -> None:
    """Write `passed.jsonl` (problem_id, completion; each distinct completion once) and `failed_tasks.jsonl`. Raises
    `SandboxError` if the sandbox fails."""
    folder = layout.samples(name, seed)
    problems = list(read_jsonl(layout.problems("train"), Problem))
    chunks = [problems[start : start + CHUNK] for start in range(0, len(problems), CHUNK)]
    todo = [number for number in range(len(chunks)) if not (folder / f"chunk-{number}.json").exists()]
    if todo:
        made = {"mine_per_step": -(-study.sampling.tasks // len(chunks)), "task_file": None}
        settings = AlignmentConfig(**{**study.alignment, **made})
        model_name = initial_model_path(study, layout, name, seed)
        model, tokenizer = load_model(model_name, device(study)), load_tokenizer(model_name)
        with study.sandbox.open(1) as sandbox, tracing_sandbox(sandbox, 1) as tracer:
            judge = Judge(sandbox)
            for number in todo:
                began = time.monotonic()
                passed, judged = _sample(study, chunks[number], number, seed, model, tokenizer, judge)
                (folder / f"passed-{number}.jsonl").write_text(passed, encoding="utf-8")
                tasks = mine(tracer, judged, settings=settings, seed=seed).tasks
                write_jsonl(folder / f"tasks-{number}.jsonl", tasks)
                write_json(folder / f"chunk-{number}.json", {"seconds": round(time.monotonic() - began, 1)})
    numbers = range(len(chunks))
    lines = "".join((folder / f"passed-{number}.jsonl").read_text(encoding="utf-8") for number in numbers)
    (folder / PASSED).write_text(lines, encoding="utf-8")
    found = [task for number in numbers for task in read_jsonl(folder / f"tasks-{number}.jsonl", AlignmentTask)]
    write_jsonl(folder / TASKS, {task.task_id: task for task in found}.values())
    counts = {
        "samples": len(problems) * study.sampling.samples_per_problem,
        "passed": lines.count("\n"),
        "tasks": len(found),
        "seconds": round(sum(read_object(folder / f"chunk-{number}.json")["seconds"] for number in numbers), 1),
    }
    write_json(folder / "complete.json", counts)


def with_task_file(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The settings of a run with the file of its off-policy tasks put in."""
    alignment = settings.get("alignment")
    if isinstance(alignment, Mapping) and alignment.get("task_file") == OFF_POLICY_TASKS:
        return over(settings, {"alignment": {"task_file": str(folder / TASKS)}})
    return settings


def _sample(
    study: Study, problems: Sequence[Problem], number: int, seed: int, model: Any, tokenizer: Any, judge: Judge
) -> tuple[str, list[JudgedRollout]]:
    """What a model writes for the problems of a chunk: the lines of the programs that pass, and all that is judged."""
    texts = generate(
        model,
        tokenizer,
        [study.messages(problem) for problem in problems],
        samples=study.sampling.samples_per_problem,
        max_new_tokens=study.measure.max_new_tokens,
        batch_size=study.measure.batch_size,
        seed=1000 * seed + number,
    )
    pairs = [(problem, text) for problem, group in zip(problems, texts, strict=True) for text in group]
    ids = [f"{number}-{place}" for place in range(len(pairs))]
    rewards = reward_rows(judge, [problem for problem, _ in pairs], [text for _, text in pairs], rollout_ids=ids)
    passed: dict[str, None] = {}
    judged = []
    for (problem, text), reward, rollout_id in zip(pairs, rewards, ids, strict=True):
        if reward.value == 1.0:
            passed[json.dumps({"problem_id": problem.problem_id, "completion": text}) + "\n"] = None
        if reward.verdict is not None:
            rollout = Rollout(rollout_id=rollout_id, problem_id=problem.problem_id, completion=text)
            judged.append(JudgedRollout(problem, rollout, reward.program, reward.verdict))
    return "".join(passed), judged
