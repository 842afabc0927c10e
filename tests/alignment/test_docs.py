"""The pages of alignment tasks show the kinds that there are, and tasks as they are."""

from __future__ import annotations

from pathlib import Path

from coderlplus.alignment import AlignmentConfig, Lineage, make_task, reference_answer
from coderlplus.alignment.kinds import KINDS
from coderlplus.records import AlignmentTask, CallInput
from coderlplus.sandbox import Sandbox
from coderlplus.tracing import TraceRequest, trace_many

DOCS = Path(__file__).parents[2] / "docs"
PROGRAM = """\
def f(a):
    total = 0
    for x in a:
        if x % 2:
            total += x * 7
        else:
            total -= x
    while total > 5:
        total = total // 3
    return (total, len(a))"""


def examples() -> dict[str, tuple[AlignmentTask, str]]:
    """A task of each kind that the page of examples shows, and its answer."""
    found = {}
    lineage, config = Lineage(problem_id="p", rollout_id="r"), AlignmentConfig(prompt_style="compact")
    with Sandbox(workers=1) as sandbox:
        for kind in ("input", "next_statement", "types", "states"):
            given, steps = CallInput("f", ([3, 1, 2, 8, 11],)), KINDS[kind].max_steps
            (trace,) = trace_many(sandbox, [TraceRequest(program=PROGRAM, input=given, max_steps=steps)])
            task = make_task(trace, lineage, settings=config, kind=kind)
            assert isinstance(task, AlignmentTask)
            found[kind] = task, reference_answer(task)
    return found


def test_the_page_shows_the_kinds() -> None:
    page = (DOCS / "alignment.md").read_text(encoding="utf-8")
    rows = [f"| `{kind.name}` | {kind.about} | {kind.asks} |" for kind in KINDS.values()]
    assert "\n".join(("| kind | about runs that | asks for |", "|---|---|---|", *rows, "")) in page


def test_the_page_of_examples_shows_tasks_as_they_are() -> None:
    page = (DOCS / "task-kinds.md").read_text(encoding="utf-8")
    for kind, (task, answer) in examples().items():
        assert f"## `{kind}`\n\n```text\n{task.prompt}\n```\n\n`{answer}`" in page
