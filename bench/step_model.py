"""A training step on paper: how long it takes, how many CPU cores keep judging off its critical path, and what CodeRL+
adds.

    python bench/step_model.py

A step generates, computes log-probabilities while programs are judged, updates while failures are traced, and hands
the weights to what generates; it waits for judging and tracing at the end of the part beside which they run
(docs/training.md). Costs of judging and tracing are ours (docs/performance.md, docs/mining.md). Those of accelerators
are assumptions: floating-point operations are 2·N for each token generated or scored and 6·N for each token trained
(8·N with gradient checkpointing), at a stated share of the peak; a step of decoding reads the weights and the keys and
values once, at a stated share of the bandwidth.

The last table compares the model with steps on NVIDIA's accelerators that were published; nothing of it was fitted to
them. bench/step_measured.py compares judging, tracing and waits with measured steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A dense model. Bytes of keys and values are those of one token in all layers, at two bytes a number."""

    name: str
    parameters: float
    key_value_bytes: float

    @property
    def weight_bytes(self) -> float:
        return 2 * self.parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Accelerators and how well they are used. Rates are of one accelerator and second; shares are of the peak."""

    accelerators: int
    per_copy: int
    """Accelerators that hold a copy of the model for generation."""
    operations_s: float
    memory_bytes_s: float
    sync_bytes_s: float
    """Weights from what trains to one copy of what generates."""
    training_share: float
    memory_share: float
    token_s: float
    """Seconds of a step of decoding that depend on nothing."""
    recomputes: bool = True
    """Gradient checkpointing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Tokens are means; `longest_tokens` is the longest completion, which everything waits for."""

    rollouts: int
    prompt_tokens: float
    completion_tokens: float
    longest_tokens: float
    scored: int = 2
    """Forward passes over the batch before the update: of the old policy if there are several updates, and of the
    reference policy if there is one."""
    updates: int = 1
    """Passes of the update over the batch."""

    @property
    def tokens(self) -> float:
        return self.rollouts * (self.prompt_tokens + self.completion_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checking:
    """CPU seconds of one rollout, and what there is to judge and to trace."""

    judge_s: float
    trace_s: float
    here_s: float
    """Of the one process that hands programs out and reads verdicts; its rollouts are one after the other."""
    longest_s: float
    """The program that runs longest: with an endless loop among them, the CPU limit of a test."""
    failed: float
    """Share of the programs that are traced."""
    alignment: float
    """Share of the batch that is alignment tasks, which are not judged by running; 0 with plain GRPO."""

    @property
    def traces(self) -> bool:
        return self.alignment > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """Of one step. `judging` and `tracing` are how long they run, the waits how long the step stands still for
    them."""

    generation: float
    log_probabilities: float
    update: float
    sync: float
    judging: float = 0.0
    tracing: float = 0.0

    @property
    def judging_wait(self) -> float:
        return max(0.0, self.judging - self.log_probabilities)

    @property
    def tracing_wait(self) -> float:
        return max(0.0, self.tracing - self.update)

    @property
    def step(self) -> float:
        model = self.generation + self.log_probabilities + self.update + self.sync
        return model + self.judging_wait + self.tracing_wait


def generation_s(policy: Policy, machine: Machine, batch: Batch) -> float:
    """Prompts are read at the speed of computation. A step of decoding takes what is longer of computing and reading;
    completions that have ended leave room, so on average as many are written at a time as tokens are in all."""
    copies = machine.accelerators / machine.per_copy
    rate = machine.operations_s * machine.training_share * machine.per_copy
    at_once = batch.rollouts / copies * batch.completion_tokens / batch.longest_tokens
    context = at_once * (batch.prompt_tokens + batch.completion_tokens / 2)
    reads = policy.weight_bytes + context * policy.key_value_bytes
    reading = reads / (machine.memory_bytes_s * machine.memory_share * machine.per_copy)
    computing = 2 * policy.parameters * at_once / rate
    prefill = 2 * policy.parameters * batch.rollouts / copies * batch.prompt_tokens / rate
    return prefill + batch.longest_tokens * (machine.token_s + max(reading, computing))


def scoring_s(policy: Policy, machine: Machine, batch: Batch) -> float:
    """Log-probabilities of the old and the reference policy."""
    return batch.scored * 2 * policy.parameters * batch.tokens / _training_rate(machine)


def update_s(policy: Policy, machine: Machine, batch: Batch) -> float:
    operations = 8 if machine.recomputes else 6
    return batch.updates * operations * policy.parameters * batch.tokens / _training_rate(machine)


def _training_rate(machine: Machine) -> float:
    return machine.accelerators * machine.operations_s * machine.training_share


def judging_s(checking: Checking, rollouts: int, cores: float) -> float:
    """Longest first, so the last program ends after all of the work or after the longest program."""
    work = rollouts * (1 - checking.alignment) * checking.judge_s
    return rollouts * checking.here_s + max(work / cores, checking.longest_s)


def tracing_s(checking: Checking, rollouts: int, cores: float) -> float:
    """Programs that ran into a limit are not traced, so no trace is long."""
    if not checking.traces:
        return 0.0
    traced = rollouts * (1 - checking.alignment) * checking.failed
    return traced * (checking.here_s + checking.trace_s / cores)


def step(policy: Policy, machine: Machine, batch: Batch, checking: Checking, cores: float) -> Seconds:
    return Seconds(
        generation=generation_s(policy, machine, batch),
        log_probabilities=scoring_s(policy, machine, batch),
        update=update_s(policy, machine, batch),
        sync=policy.weight_bytes / machine.sync_bytes_s,
        judging=judging_s(checking, batch.rollouts, cores),
        tracing=tracing_s(checking, batch.rollouts, cores),
    )


def cores_needed(policy: Policy, machine: Machine, batch: Batch, checking: Checking) -> int | None:
    """The fewest cores with which a step does not wait; `None` if no number of them is enough, as the longest program
    or the one process takes longer than what they run beside."""
    programs = batch.rollouts * (1 - checking.alignment)
    judging = scoring_s(policy, machine, batch) - batch.rollouts * checking.here_s
    tracing = update_s(policy, machine, batch) - programs * checking.failed * checking.here_s
    if judging <= 0 or checking.longest_s > judging or (checking.traces and tracing <= 0):
        return None
    needed = programs * checking.judge_s / judging
    if checking.traces:
        needed = max(needed, programs * checking.failed * checking.trace_s / tracing)
    return max(1, math.ceil(needed - 1e-9))


H100 = Machine(
    accelerators=8,
    per_copy=1,
    operations_s=989e12,  # NVIDIA H100 SXM data sheet: dense bfloat16, and memory
    memory_bytes_s=3.35e12,
    sync_bytes_s=10e9,  # assumed
    training_share=0.30,  # assumed; long sequences of equal length reach 0.38 to 0.43 (arXiv 2407.21783, table 4)
    memory_share=0.60,  # assumed
    token_s=0.002,  # assumed: scheduling and launching
)
QWEN_7B = Policy(name="7B", parameters=7.6e9, key_value_bytes=28 * 4 * 128 * 4)
QWEN_32B = Policy(name="32B", parameters=32.8e9, key_value_bytes=64 * 8 * 128 * 4)
LLAMA_8B = Policy(name="Llama 3.1 8B", parameters=8.0e9, key_value_bytes=32 * 8 * 128 * 4)

SHORT = Batch(rollouts=1024, prompt_tokens=512, completion_tokens=512, longest_tokens=8192)
"""128 × 8, at most 8,192 tokens (recipes/paper_7b_verl.yaml); the mean is assumed."""
LONG = Batch(rollouts=8192, prompt_tokens=512, completion_tokens=4096, longest_tokens=20_480, scored=1)
"""512 × 16, at most 20,480 tokens, no reference policy (DAPO, arXiv 2503.14476); the mean is assumed."""

JUDGE_S = {
    "short tests": 0.010,  # bench/step_overhead.py
    "MBPP and HumanEval": 44 / 1024,  # recorded programs of models, some endless loops among them: bench/mining.py
    "contest tests": 1.0,  # assumed
}
"""CPU seconds of judging one program."""
TRACE_S = 5.5 / 482
"""CPU seconds of tracing one failure (bench/mining.py)."""
HERE_S = 0.0005
"""CPU seconds of the process that hands programs out on Ray, for each (bench/cluster.py, 16 nodes)."""
LIMIT_S = 5.0
"""The default CPU limit of a test."""
CODERLPLUS = Checking(judge_s=0.010, trace_s=TRACE_S, here_s=HERE_S, longest_s=LIMIT_S, failed=0.6, alignment=0.4)

NOTHING = Checking(judge_s=0, trace_s=0, here_s=0, longest_s=0, failed=0, alignment=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A step that was measured, its inputs, and where it is from."""

    name: str
    source: str
    policy: Policy
    machine: Machine
    batch: Batch
    step_s: float


NEMO = "NeMo RL v0.4 performance summary, GRPO on policy"
"""https://github.com/NVIDIA-NeMo/RL, docs/about/performance-summary.md. It gives the mean of prompt and completion
together; the prompt is assumed to have 150 tokens."""
PUBLISHED = (
    Measured(
        name="8B on 16 H100",
        source=NEMO,
        policy=LLAMA_8B,
        machine=replace(H100, accelerators=16, recomputes=False),
        batch=Batch(rollouts=2048, prompt_tokens=150, completion_tokens=1060 - 150, longest_tokens=4096 - 150),
        step_s=97.7,
    ),
    Measured(
        name="32B on 32 H100",
        source=NEMO,
        policy=QWEN_32B,
        machine=replace(H100, accelerators=32, per_copy=4, recomputes=False),
        batch=Batch(rollouts=2048, prompt_tokens=150, completion_tokens=3206 - 150, longest_tokens=4096 - 150),
        step_s=393.0,
    ),
)


PLANS = (
    (QWEN_7B, replace(H100, accelerators=8, per_copy=2), SHORT),
    (QWEN_7B, replace(H100, accelerators=8, per_copy=2), replace(SHORT, scored=0)),
    (QWEN_32B, replace(H100, accelerators=64, per_copy=4), LONG),
)
SHOWN_CORES = (8, 64, 256)


def plan_table(policy: Policy, machine: Machine, batch: Batch) -> Table:
    """What judging and tracing cost, by what the programs are."""
    model = step(policy, machine, batch, NOTHING, 1)
    table = Table(
        *("programs", "", "core-s judging", "core-s tracing", "cores needed"),
        *(f"waits, {cores} cores" for cores in SHOWN_CORES),
        title=f"{policy.name} on {machine.accelerators} GPUs, {batch.rollouts:,} rollouts of "
        f"{batch.completion_tokens:,.0f} tokens, {batch.scored} passes before the update: generation "
        f"{model.generation:.0f} s, passes {model.log_probabilities:.0f}, update {model.update:.0f}, weights "
        f"{model.sync:.0f}, step {model.step:.0f}",
    )
    for name, judge_s in JUDGE_S.items():
        for arm, alignment in (("GRPO", 0.0), ("CodeRL+", CODERLPLUS.alignment)):
            checking = replace(CODERLPLUS, judge_s=judge_s, alignment=alignment)
            programs = batch.rollouts * (1 - alignment)
            cores = cores_needed(policy, machine, batch, checking)
            steps = [step(policy, machine, batch, checking, cores) for cores in SHOWN_CORES]
            table.add_row(
                *(name, arm, f"{programs * judge_s:,.0f}"),
                f"{programs * checking.failed * checking.trace_s:,.0f}" if checking.traces else "",
                "no number" if cores is None else f"{cores:,}",
                *(f"{each.judging_wait + each.tracing_wait:,.1f}" for each in steps),
            )
    for column in table.columns[2:]:
        column.justify = "right"
    return table


def measured_table(measured: Sequence[Measured]) -> Table:
    table = Table("step", "predicted s", "measured s", "ratio", "source", title="the model against measured steps")
    for each in measured:
        predicted = step(each.policy, each.machine, each.batch, NOTHING, 1).step
        table.add_row(
            each.name, f"{predicted:.0f}", f"{each.step_s:.0f}", f"{predicted / each.step_s:.2f}", each.source
        )
    return table


def main() -> None:
    console = Console(width=150)
    for policy, machine, batch in PLANS:
        console.print(plan_table(policy, machine, batch))
    console.print(measured_table(PUBLISHED))


if __name__ == "__main__":
    main()
