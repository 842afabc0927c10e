"""What is in the batches of a verl run; no verl is needed here."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from coderlplus.alignment.settings import AlignmentConfig
from coderlplus.engines.batches import ProblemStream
from coderlplus.engines.verl.fetching import FetchedSteps
from coderlplus.engines.verl.rows import Place, Scored, row_fields, row_of
from coderlplus.errors import ConfigError, DataError
from coderlplus.judge import Judge
from coderlplus.loop import AlignmentLoop
from coderlplus.records import AlignmentTask, CallTest, Problem
from coderlplus.sandbox import Sandbox

BATCH, GROUP = 4, 2
PROGRAMS = [f"```python\ndef f(x):\n    y = x {sign} {k}\n    return y\n```" for sign in "+*-" for k in (1, 2, 3, 4)]
PROBLEMS = [
    Problem(problem_id=f"p{k}", statement=f"f {k}", entry_point="f", tests=(CallTest((1,), 100 + k),))
    for k in range(9)
]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(workers=1) as sandbox:
        yield sandbox


def make_steps(sandbox: Sandbox, **changes: Any) -> FetchedSteps:
    loop = AlignmentLoop(AlignmentConfig(alpha=0.5, **changes), sandbox, Judge(sandbox), seed=3)
    return FetchedSteps(ProblemStream(PROBLEMS, 3), loop, BATCH)


def go(steps: FetchedSteps, *, piece: int = BATCH) -> list[tuple[Any, Place]]:
    """One step: the rows of its batch, fetched in pieces; the completions depend on step, group and sample alone, and
    come in any order."""
    rows = [row for _ in range(BATCH // piece) for row in steps.fetch(piece)]
    scored = [score(steps, row, place, sample) for row, place in rows for sample in range(GROUP)]
    random.shuffle(scored)
    steps.add(scored)
    steps.finish([place.number for _, place in rows])
    return rows


def score(steps: FetchedSteps, row: Any, place: Place, sample: int) -> Scored:
    assert steps.loop is not None
    text = PROGRAMS[(7 * place.step + 3 * place.number + sample) % len(PROGRAMS)]
    (reward,) = steps.loop.reward([row], [text], rollout_ids=[f"{place.step}-{place.number}-{sample}"])
    return Scored(place=place, sample=sample, completion=text, reward=reward, tokens=3, clipped=False)


def names(rows: list[tuple[Any, Place]]) -> list[str]:
    return [row.task_id if isinstance(row, AlignmentTask) else row.problem_id for row, _ in rows]


def test_the_first_batch_is_all_code_and_every_later_one_has_its_share(sandbox: Sandbox) -> None:
    steps = make_steps(sandbox)
    batches = [go(steps) for _ in range(4)]
    assert [sum(isinstance(row, AlignmentTask) for row, _ in rows) for rows in batches] == [0, 2, 2, 2]
    for number, rows in enumerate(batches, 1):
        assert [place for _, place in rows] == [Place(step=number, number=index) for index in range(BATCH)]
        assert len(set(names(rows))) == BATCH
        assert all(row.step == number - 1 for row, _ in rows if isinstance(row, AlignmentTask))


def test_fetching_one_by_one_gives_the_same_batches(sandbox: Sandbox) -> None:
    one, other = make_steps(sandbox), make_steps(sandbox)
    assert [names(go(one)) for _ in range(3)] == [names(go(other, piece=1)) for _ in range(3)]


@examples(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(saved=st.integers(0, 4), sampling=st.sampled_from(["recent", "uniform", "solvable"]))
def test_a_run_goes_on_from_a_checkpoint_as_if_nothing_had_happened(
    sandbox: Sandbox, saved: int, sampling: str
) -> None:
    whole = make_steps(sandbox, sampling=sampling)
    states = [whole.state_dict()]
    batches = []
    for _ in range(5):
        batches.append(names(go(whole)))
        states.append(whole.state_dict())
    resumed = make_steps(sandbox, sampling=sampling)
    resumed.load_state_dict(states[saved])
    assert [names(go(resumed)) for _ in range(5 - saved)] == batches[saved:]
    assert without_times(resumed.state_dict()) == without_times(whole.state_dict())


def without_times(saved: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(gzip.decompress(saved["coderlplus"]))
    return state | {
        "mined": {name: value for name, value in state["mined"].items() if not name.startswith("seconds/")}
    }


def test_replacements_are_of_the_side_that_was_filtered_out_and_new_to_the_batch(sandbox: Sandbox) -> None:
    steps = make_steps(sandbox)
    go(steps)
    steps.may_refill = True
    batch = steps.fetch(BATCH)
    objectives = [steps.objective(number) for number in range(BATCH)]
    task, code = objectives.index("alignment"), objectives.index("generation")
    steps.filtered_out([task, code])
    replacements = steps.fetch(4)
    assert [steps.objective(place.number) for _, place in replacements] == [
        objective for number in sorted([task, code]) for objective in [objectives[number]] * 2
    ]
    assert not set(names(replacements)) & set(names(batch))
    assert not steps.is_waiting


def test_a_batch_that_never_reaches_the_replay_buffer_names_the_setting(sandbox: Sandbox) -> None:
    steps = make_steps(sandbox)
    steps.fetch(BATCH)
    with pytest.raises(ConfigError, match=r"custom_sampler"):
        steps.fetch(BATCH)


def test_completions_of_another_step_are_refused(sandbox: Sandbox) -> None:
    steps = make_steps(sandbox)
    ((row, place), *_) = steps.fetch(BATCH)
    early = score(steps, row, Place(step=2, number=place.number), 0)
    with pytest.raises(ConfigError, match="trainer_mode=sync"):
        steps.add([early])


def test_completions_without_reward_are_counted_and_no_one_learns_from_them(sandbox: Sandbox) -> None:
    steps = make_steps(sandbox)
    rows = steps.fetch(BATCH)
    steps.add(
        score(steps, row, place, sample)
        for row, place in rows
        for sample in range(GROUP)
        if (place.number, sample) != (1, 0)
    )
    metrics = steps.finish(range(BATCH))
    assert metrics["without_reward"] == 1
    assert metrics["samples"] == BATCH * GROUP - 1


@pytest.mark.parametrize("saved", [None, 3, b"no gzip", gzip.compress(b"{}", mtime=0), gzip.compress(b"[1", mtime=0)])
def test_a_damaged_state_is_named(sandbox: Sandbox, saved: Any) -> None:
    with pytest.raises(DataError, match=r"data\.pt .* the one before"):
        make_steps(sandbox).load_state_dict({} if saved is None else {"coderlplus": saved})


def test_rows_and_scored_completions_survive_their_journey(sandbox: Sandbox) -> None:
    steps = make_steps(sandbox)
    go(steps)
    known = {problem.problem_id: problem for problem in PROBLEMS}
    rows = steps.fetch(BATCH)
    assert {isinstance(row, AlignmentTask) for row, _ in rows} == {True, False}
    for row, place in rows:
        assert row_of(row_fields(row, place, []), known) == (row, place)
        scored = score(steps, row, place, 0)
        assert Scored.from_json(scored.to_json()) == scored


def test_rows_of_another_data_set_name_the_setting() -> None:
    with pytest.raises(ConfigError, match=r"data\.custom_cls"):
        row_of({"extra_info": {"index": 3}, "reward_model": {"ground_truth": "72"}}, {})
