"""`bench/step_model.py`: sums done by hand, and what must hold for any step."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st


def load() -> Any:
    path = Path(__file__).parents[2] / "bench" / "step_model.py"
    spec = importlib.util.spec_from_file_location("bench_step_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


model = load()

POLICY = model.Policy(name="1B", parameters=1e9, key_value_bytes=1000)
MACHINE = model.Machine(
    accelerators=4,
    per_copy=2,
    operations_s=1e12,
    memory_bytes_s=1e11,
    sync_bytes_s=1e9,
    training_share=0.5,
    memory_share=0.5,
    token_s=0.01,
)
BATCH = model.Batch(rollouts=100, prompt_tokens=100, completion_tokens=100, longest_tokens=200, scored=1)
CHECKING = model.Checking(judge_s=2.0, trace_s=1.0, here_s=0.01, longest_s=5.0, failed=0.5, alignment=0.4)

positive = st.floats(0.001, 1000)
checkings = st.builds(
    model.Checking,
    judge_s=positive,
    trace_s=positive,
    here_s=st.floats(0, 0.1),
    longest_s=st.floats(0, 30),
    failed=st.floats(0, 1),
    alignment=st.floats(0, 0.9),
)
batches = st.builds(
    model.Batch,
    rollouts=st.integers(1, 10_000),
    prompt_tokens=st.floats(1, 4096),
    completion_tokens=st.floats(1, 4096),
    longest_tokens=st.floats(4096, 20_000),
    scored=st.integers(0, 2),
    updates=st.integers(1, 4),
)


def test_update_and_scoring_are_operations_over_their_rate() -> None:
    """20,000 tokens at 8 and 2 operations for each of 10⁹ parameters, on 4 × 10¹² × 0.5 a second."""
    assert model.update_s(POLICY, MACHINE, BATCH) == pytest.approx(80.0)
    assert model.update_s(POLICY, replace(MACHINE, recomputes=False), BATCH) == pytest.approx(60.0)
    assert model.scoring_s(POLICY, MACHINE, BATCH) == pytest.approx(20.0)


def test_generation_reads_weights_and_context_once_a_token() -> None:
    """Two copies write 25 completions at a time, 200 steps. A step computes 5·10¹⁰ operations at 10¹² a second, which
    is longer than reading 2·10⁹ + 25·150·1000 bytes at 10¹¹; the prompts are 50 · 100 tokens."""
    assert model.generation_s(POLICY, MACHINE, BATCH) == pytest.approx(10.0 + 200 * (0.01 + 0.05))
    slow = replace(MACHINE, memory_bytes_s=1e10)
    assert model.generation_s(POLICY, slow, BATCH) == pytest.approx(10.0 + 200 * (0.01 + 0.2 + 0.000375))


def test_a_step_waits_for_what_outlasts_the_part_beside_it() -> None:
    """60 programs of 2 s on 4 cores and 100 rollouts of 0.01 s: 31 s beside 20. 30 traces of 1 s: 7.8 s beside 80."""
    seconds = model.step(POLICY, MACHINE, BATCH, CHECKING, 4)
    assert (seconds.judging, seconds.judging_wait) == (pytest.approx(31.0), pytest.approx(11.0))
    assert (seconds.tracing, seconds.tracing_wait) == (pytest.approx(7.8), 0.0)
    assert seconds.sync == pytest.approx(2.0)
    assert seconds.step == pytest.approx(22.0 + 20.0 + 80.0 + 2.0 + 11.0)


def test_cores_by_hand() -> None:
    """120 core-seconds in the 19 s that the one process leaves."""
    assert model.cores_needed(POLICY, MACHINE, BATCH, CHECKING) == 7
    assert model.cores_needed(POLICY, MACHINE, BATCH, replace(CHECKING, longest_s=19.5)) is None
    assert model.cores_needed(POLICY, MACHINE, replace(BATCH, scored=0), CHECKING) is None


@given(batches, checkings)
def test_the_cores_needed_are_the_fewest_without_a_wait(batch: Any, checking: Any) -> None:
    def wait(cores: int) -> float:
        seconds = model.step(POLICY, MACHINE, batch, checking, cores)
        waited: float = seconds.judging_wait + seconds.tracing_wait
        return waited

    cores = model.cores_needed(POLICY, MACHINE, batch, checking)
    if cores is None:
        assert wait(10**12) > 0 or model.scoring_s(POLICY, MACHINE, batch) == 0
    else:
        assert wait(cores) <= 1e-6 * model.step(POLICY, MACHINE, batch, checking, cores).step
        assert cores == 1 or wait(cores - 1) > 0


@given(batches, checkings, st.integers(1, 1000))
def test_more_work_takes_no_less_time_and_more_cores_no_more(batch: Any, checking: Any, cores: int) -> None:
    def seconds(batch: Any = batch, checking: Any = checking, cores: int = cores, machine: Any = MACHINE) -> float:
        total: float = model.step(POLICY, machine, batch, checking, cores).step
        return total

    base = seconds()
    slack = 1e-9 * base
    assert seconds(cores=cores + 1) <= base + slack
    assert seconds(machine=replace(MACHINE, accelerators=8)) <= base + slack
    for name in ("judge_s", "trace_s", "here_s", "longest_s"):
        assert seconds(checking=replace(checking, **{name: 2 * getattr(checking, name)})) >= base - slack
    for name in ("rollouts", "prompt_tokens", "updates"):
        assert seconds(batch=replace(batch, **{name: 2 * getattr(batch, name)})) >= base - slack


@given(batches, checkings)
def test_without_alignment_nothing_is_traced(batch: Any, checking: Any) -> None:
    assert model.tracing_s(replace(checking, alignment=0.0), batch.rollouts, 1) == 0.0


def test_published_steps_are_met_within_a_quarter() -> None:
    for each in model.PUBLISHED:
        predicted = model.step(each.policy, each.machine, each.batch, model.NOTHING, 1).step
        assert 0.75 < predicted / each.step_s < 1.25, each.name
