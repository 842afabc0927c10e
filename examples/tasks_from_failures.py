"""Make alignment tasks from programs that fail, as JSONL and as a data set for any trainer.

    python examples/tasks_from_failures.py PROBLEMS PROGRAMS --output tasks.jsonl [--parquet tasks.parquet]

PROGRAMS is a file of coderlplus rollouts: `rollout_id`, `problem_id`, and `program` or `completion`.
"""

from __future__ import annotations

import argparse

import coderlplus as crl


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Make alignment tasks from programs that fail.")
    parser.add_argument("problems")
    parser.add_argument("programs")
    parser.add_argument("--output", default="tasks.jsonl")
    parser.add_argument("--parquet", help="also write prompts and tasks for a trainer (needs datasets)")
    options = parser.parse_args(arguments)
    problems = {problem.problem_id: problem for problem in crl.load_problems(options.problems)}
    pairs = [(problems[rollout.problem_id], rollout) for rollout in crl.read_jsonl(options.programs, crl.Rollout)]
    with crl.open_sandbox() as sandbox:
        verdicts = crl.Judge(sandbox).judge_many(pairs)
        judged = [
            crl.JudgedRollout(problem, rollout, program_of(problem, rollout), verdict)
            for (problem, rollout), verdict in zip(pairs, verdicts, strict=True)
        ]
        mined = crl.mine(sandbox, judged, settings=crl.AlignmentConfig(max_variables=2))
    crl.write_jsonl(options.output, mined.tasks)
    print(f"{len(mined.tasks)} tasks from {len(judged)} programs; the others: {mined.rejects}")
    if options.parquet:
        from datasets import Dataset

        Dataset.from_list([crl.to_dataset_row(task) for task in mined.tasks]).to_parquet(options.parquet)


def program_of(problem: crl.Problem, rollout: crl.Rollout) -> str | None:
    if rollout.program is not None:
        return rollout.program
    return crl.extract_program(rollout.completion or "", problem.entry_point, starter_code=problem.starter_code)


if __name__ == "__main__":
    main()
