"""What selection measures: the programs that an arm writes for the test problems, and what a model predicts that they
do on the examples that the statement shows.

`programs.json` holds, packed (see `selection.pack`), rows of numbers, one row a problem. Programs that differ in
comments alone are one: it is judged once, and asked about once.

    which          a number a sample: which of the problem's programs it is (no program counts as one of them)
    logprob        a number a sample: its rank by the mean log-probability of its tokens, at temperature 1
    passed         a number a program: 1 where it passes all tests
    executed       with how many examples its outputs agree; -1 for no program

`predictions.json` holds `predicted` by one reader, a number a program: with how many examples the outputs that it
predicts agree; -1 for no program.
"""

from __future__ import annotations

import ast
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from coderlplus.alignment import AlignmentConfig
from coderlplus.alignment.prompts import shown_program
from coderlplus.engines.models import load_tokenizer
from coderlplus.errors import DataError, SandboxError
from coderlplus.evaluation.examples import Example, visible_examples
from coderlplus.evaluation.generate import generate_tokens, mean_logprobs, token_ids
from coderlplus.evaluation.metrics import mean
from coderlplus.evaluation.selection import agrees, prediction_prompt
from coderlplus.judge import Judge
from coderlplus.problems.prompts import conversation, user_message
from coderlplus.programs import extract_program, parse
from coderlplus.records import Problem, Rollout, read_jsonl
from coderlplus.records.files import atomic_write
from coderlplus.report.folders import json_lines
from coderlplus_lab.files import write_json
from coderlplus_lab.study.folder import DONE, StudyFolder
from coderlplus_lab.study.initial_models import device, device_name, load_model
from coderlplus_lab.study.measures import generation, which_pass
from coderlplus_lab.study.runs import model_of, provenance
from coderlplus_lab.study.selection import pack
from coderlplus_lab.study.settings import Study

PROGRAMS = "programs.jsonl"
LOGITS = 2**24
"""In memory at once: rows × tokens × vocabulary."""


def write_programs(study: Study, layout: StudyFolder, writer: str, seed: int) -> None:
    """Sample programs for the test problems from the model of a run, and judge them. Raises `SandboxError` if the
    sandbox fails."""
    assert study.selection is not None
    began, folder, samples = time.monotonic(), layout.programs(writer, seed), study.selection.samples
    model, tokenizer = _model(study, layout, writer, seed)
    problems = list(read_jsonl(layout.problems(study.held_out), Problem))
    prompts = [token_ids(tokenizer, study.messages(problem)) for problem in problems]
    sampled = generate_tokens(model, tokenizer, prompts, samples=samples, **generation(study))
    texts = [tokenizer.batch_decode(group, skip_special_tokens=True) for group in sampled]
    shown = [_shown(problem, group) for problem, group in zip(problems, texts, strict=True)]
    programs = [list(dict.fromkeys(group)) for group in shown]
    firsts = [
        [group[of.index(program)] for program in distinct]
        for group, of, distinct in zip(texts, shown, programs, strict=True)
    ]
    with study.sandbox.open(1) as sandbox:
        judge = Judge(sandbox)
        passed = which_pass(judge, problems, firsts)
        executed = _executed(judge, study, problems, programs)
    atomic_write(folder / PROGRAMS, "".join(json.dumps({"programs": distinct}) + "\n" for distinct in programs))
    columns = {
        "which": [[distinct.index(one) for one in of] for distinct, of in zip(programs, shown, strict=True)],
        "logprob": [_ranks(group) for group in _logprobs(model, prompts, sampled)],
        "passed": [[int(mark) for mark in group] for group in passed],
        "executed": executed,
    }
    write_json(
        folder / DONE["programs"],
        {"arm": writer, "seed": seed, "device": device_name(study), **provenance(folder)}
        | {"samples": samples, "tokens": _tokens(prompts, [ids for group in sampled for ids in group])}
        | {name: pack(rows) for name, rows in columns.items()}
        | {"seconds": round(time.monotonic() - began, 1)},
    )


def write_predictions(study: Study, layout: StudyFolder, writer: str, reader: str, seed: int) -> None:
    """Ask the model of a run what the programs of another one (or its own) give on the shown examples: each question
    once, greedily, in the form of alignment tasks of the kind `final_values`. Nothing is run."""
    began, folder = time.monotonic(), layout.predictions(writer, reader, seed)
    model, tokenizer = _model(study, layout, reader, seed)
    problems = list(read_jsonl(layout.problems(study.held_out), Problem))
    programs = _programs(layout.programs(writer, seed), len(problems))
    examples = [_examples(study, problem) for problem in problems]
    asked = [
        [[] if program is None else [_question(study, problem, program, one) for one in shown] for program in distinct]
        for problem, distinct, shown in zip(problems, programs, examples, strict=True)
    ]
    questions = list(dict.fromkeys(question for group in asked for some in group for question in some))
    system = study.train.get("system_prompt")
    prompts = [token_ids(tokenizer, conversation(question, system)) for question in questions]
    answers = [ids for [ids] in generate_tokens(model, tokenizer, prompts, greedy=True, **generation(study))]
    said = dict(zip(questions, tokenizer.batch_decode(answers, skip_special_tokens=True), strict=True))
    predicted = [
        [
            -1
            if program is None
            else sum(agrees(one, said[question]) for one, question in zip(shown, some, strict=True))
            for program, some in zip(distinct, group, strict=True)
        ]
        for distinct, group, shown in zip(programs, asked, examples, strict=True)
    ]
    write_json(
        folder / DONE["predictions"],
        {"arm": writer, "reader": reader, "seed": seed, "device": device_name(study), **provenance(folder)}
        | {"questions": len(questions), "tokens": _tokens(prompts, answers), "predicted": pack(predicted)}
        | {"seconds": round(time.monotonic() - began, 1)},
    )


def named_variables(program: str, entry_point: str | None, most: int) -> list[str]:
    """The variables that a question names beside the output: the first that the statements of the function itself
    assign (not those in its loops and branches), or those of the program where it has no entry point. They are read
    from the text; a task knows more, since its program was run.

    >>> text = "def f(x):\\n    a = x[1:]\\n    for i in a:\\n        j = i\\n    b = a + [1]\\n    return b"
    >>> named_variables(text, "f", 3)
    ['a', 'b']
    """
    try:
        body = parse(program).body
    except SyntaxError:
        return []
    if entry_point is not None:
        functions = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == entry_point]
        body = functions[-1].body if functions else []
    targets = [target for node in body for target in _targets(node)]
    names = dict.fromkeys(target.id for target in targets if isinstance(target, ast.Name) and target.id[0] != "_")
    return list(names)[:most]


def _targets(node: ast.stmt) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []


def _programs(folder: Path, problems: int) -> list[list[str | None]]:
    """The different programs for each problem. Raises `DataError` where they are not there for so many problems."""
    path = folder / PROGRAMS
    found = [line.get("programs") for line in json_lines(path)] if path.exists() else []
    groups = [list(group) for group in found if isinstance(group, list)]
    if len(groups) != problems:
        what = f"has programs for {len(groups)} of {problems} problems" if path.exists() else "is missing"
        raise DataError(f"{path} {what}; remove {folder} and rerun the study to write it again")
    return groups


def _examples(study: Study, problem: Problem) -> list[Example]:
    return visible_examples(problem, user_message(problem, study.train.get("prompt_template")))


def _question(study: Study, problem: Problem, program: str, example: Example) -> str:
    most = study.alignment.get("max_variables", AlignmentConfig().max_variables)
    variables = named_variables(program, problem.entry_point, most)
    return prediction_prompt(problem, program, example, study.prompt_style, variables=variables)


def _model(study: Study, layout: StudyFolder, arm: str, seed: int) -> tuple[Any, Any]:
    """The model of a run and its tokenizer."""
    path = model_of(study, layout, arm, seed)
    return load_model(path, device(study)), load_tokenizer(path)


def _shown(problem: Problem, texts: Sequence[str]) -> list[str | None]:
    """The program in each completion, without its comments; `None` for a completion without a program."""
    found: dict[str, str | None] = {}
    for text in set(texts):
        program = extract_program(text, problem.entry_point, starter_code=problem.starter_code)
        found[text] = None if program is None else shown_program(program)
    return [found[text] for text in texts]


def _executed(
    judge: Judge, study: Study, problems: Sequence[Problem], programs: Sequence[Sequence[str | None]]
) -> list[list[int]]:
    """With how many examples of its problem each program agrees, by running it; -1 for none."""
    tested = [replace(one, tests=tuple(shown)) if (shown := _examples(study, one)) else None for one in problems]
    pairs = [
        (problem, Rollout(rollout_id="example", problem_id=problem.problem_id, program=program))
        for problem, distinct in zip(tested, programs, strict=True)
        for program in distinct
        if problem is not None and program is not None
    ]
    verdicts = judge.judge_many(pairs, all_tests=True)
    if any(verdict.verdict == "sandbox_fault" for verdict in verdicts):
        raise SandboxError("the sandbox failed on a program to choose from; run coderlplus doctor, then rerun")
    counts = iter(verdict.tests_passed for verdict in verdicts)
    return [
        [-1 if program is None else 0 if problem is None else next(counts) for program in distinct]
        for problem, distinct in zip(tested, programs, strict=True)
    ]


def _logprobs(
    model: Any, prompts: Sequence[Sequence[int]], sampled: Sequence[Sequence[list[int]]]
) -> list[list[float]]:
    """The mean log-probability of each sample; the same completion of a problem is asked once, and those of similar
    length are one batch."""
    places = dict.fromkeys((place, tuple(ids)) for place, group in enumerate(sampled) for ids in group)
    order = sorted(places, key=lambda one: len(prompts[one[0]]) + len(one[1]))
    vocabulary = model.config.get_text_config().vocab_size
    found: dict[tuple[int, tuple[int, ...]], float] = {}
    while order:
        longest = len(prompts[order[-1][0]]) + len(order[-1][1])
        size = max(1, LOGITS // (longest * vocabulary))
        chosen, order = order[-size:], order[:-size]
        found |= zip(
            chosen,
            mean_logprobs(model, [prompts[place] for place, _ in chosen], [ids for _, ids in chosen]),
            strict=True,
        )
    return [[found[place, tuple(ids)] for ids in group] for place, group in enumerate(sampled)]


def _ranks(values: Sequence[float]) -> list[int]:
    """Places of the values in ascending order; those that are equal to five digits have the same."""
    rounded = [round(value, 5) for value in values]
    places = {value: place for place, value in enumerate(sorted(set(rounded)))}
    return [places[value] for value in rounded]


def _tokens(prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]]) -> dict[str, float]:
    """Mean numbers of tokens."""
    return {
        name: round(mean([len(ids) for ids in of]), 3) if of else 0.0
        for name, of in (("prompt", prompts), ("completion", completions))
    }
