"""Alignment as a term of its own (`alignment.weight`): loss and gradient of an update against formulas written here,
in double precision on the tiny model's weights.

A run is stopped after two updates. The tests look at the second one, in which the policy differs from the reference:
the weights before it, what TRL generated and scored (before anything is taken apart), and the gradient after it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import trl
from tests.engines.conftest import make_model

from coderlplus.engines.run_folder import RunFolder
from coderlplus.engines.trl.config import make_config
from coderlplus.engines.trl.train import train
from coderlplus.engines.trl.trainer import AlignmentMixin
from coderlplus.records import AlignmentTask, CallInput, CheckTest, Problem, Target, write_jsonl

GROUPS, SIZE, LENGTH, BETA, WEIGHT = 4, 4, 24, 0.04, 0.3
Tensor = torch.Tensor
KINDS = {"output": 0.5, "final_values": 0.5}


@pytest.fixture(scope="module")
def task_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty tasks of two kinds, which a run has from its first step on."""
    path = tmp_path_factory.mktemp("tasks") / "tasks.jsonl"
    tasks = [
        AlignmentTask(
            task_id=f"t{number}",
            kind=["output", "final_values"][number % 2],
            prompt=f"what is x + {number % 7}",
            program=f"def f(x): return x + {number}",
            input=CallInput("f", (number,)),
            targets=(Target(label="output", value=2 + number % 3),),
            problem_id="p0",
            rollout_id="0-0-0",
        )
        for number in range(20)
    ]
    write_jsonl(path, tasks)
    return path


@dataclass
class Update:
    """An update: the weights before it, the micro-batches, their losses as the trainer has them, and the gradient."""

    weights: dict[str, Tensor]
    batches: list[dict[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    gradient: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Seen:
    """What a run did: TRL's generation batch as it was scored, with the rows, and the updates on it."""

    run: RunFolder | None = None
    rows: list[Any] = field(default_factory=list)
    taught: list[AlignmentTask] = field(default_factory=list)
    output: dict[str, Tensor] = field(default_factory=dict)
    updates: list[Update] = field(default_factory=list)
    loss_type: str = ""

    @property
    def metrics(self) -> dict[str, float]:
        assert self.run is not None
        last: dict[str, float] = json.loads((self.run.path / "metrics.jsonl").read_text().splitlines()[-1])
        return last


@pytest.fixture(scope="module")
def once(settings: dict[str, Any], task_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Seen]:
    """A run of two updates with alignment settings and settings of TRL."""
    problems = tmp_path_factory.mktemp("problems") / "problems.jsonl"
    write_jsonl(
        problems,
        [
            Problem(problem_id=f"p{n}", statement=f"f {n}", entry_point="f", tests=(CheckTest("assert f(2) > 2"),))
            for n in range(12)
        ],
    )
    known: dict[str, Seen] = {}

    def result(alignment: dict[str, Any], algorithm: str = "grpo", top: Any = None, **trl: Any) -> Seen:
        name = json.dumps([alignment, algorithm, top, trl], sort_keys=True)
        if name not in known:
            common = {"alpha": 0.5, "prompt_style": "compact", "task_file": str(task_file), "kinds": KINDS}
            known[name] = _once(
                settings
                | {"alignment": common | alignment, "algorithm": algorithm, "samples_every": 1}
                | {"problems": str(problems), "output": str(tmp_path_factory.mktemp("terms") / "run"), **(top or {})},
                trl,
            )
        return known[name]

    return result


def _once(settings: dict[str, Any], changes: dict[str, Any]) -> Seen:
    steps = changes.get("steps_per_generation", 1)
    ours = {
        "per_device_train_batch_size": GROUPS * SIZE // steps,
        "gradient_accumulation_steps": steps,
        "max_steps": 2,
        "max_completion_length": LENGTH,
        "save_strategy": "no",
        "beta": BETA,
        "max_grad_norm": 1e9,
    }
    ours |= {} if settings["algorithm"] == "rloo" else {"use_bias_correction_kl": False}
    seen = Seen()
    base = trl.RLOOTrainer if settings["algorithm"] == "rloo" else trl.GRPOTrainer
    score, step, taught = base._generate_and_score_completions, base.training_step, AlignmentMixin._terms

    def scored(self: Any, inputs: Any) -> Any:
        output = score(self, inputs)
        seen.rows, seen.loss_type = self._rows_now(SIZE), getattr(self, "loss_type", "rloo")
        return output

    def terms(self: Any, output: Any, rows: Any, tasks: Any, **how: Any) -> Any:
        seen.output = {name: value.clone() for name, value in output.items()}
        seen.taught = tasks
        return taught(self, output, rows, tasks, **how)

    def stepped(self: Any, model: Any, inputs: Any, number: Any) -> Tensor:
        if self._step % self.args.gradient_accumulation_steps == 0:
            seen.updates.append(Update({name: one.detach().clone() for name, one in model.named_parameters()}))
        update = seen.updates[-1]
        loss: Tensor = step(self, model, inputs, number)
        update.losses.append(loss.item())
        update.batches.append(self._buffered_inputs[(self._step - 1) % self.args.steps_per_generation])
        update.gradient = {name: one.grad.clone() for name, one in model.named_parameters()}
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "_generate_and_score_completions", scored)
        patch.setattr(base, "training_step", stepped)
        patch.setattr(AlignmentMixin, "_terms", terms)
        seen.run = train(make_config(settings | {"trl": settings["trl"] | ours | changes}))
    return seen


def model_of(update: Update) -> Any:
    model = make_model().double()
    model.load_state_dict(update.weights, strict=False)
    model.tie_weights()
    return model


def log_probabilities(model: Any, batch: dict[str, Tensor]) -> Tensor:
    tokens = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    attention = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    count = batch["completion_ids"].shape[1]
    logits = model(input_ids=tokens, attention_mask=attention).logits[:, -count - 1 : -1]
    scores: Tensor = logits.log_softmax(-1).gather(2, tokens[:, -count:, None])[..., 0]
    return scores


def token_mean(terms: Tensor, mask: Tensor) -> Tensor:
    return (terms * mask).sum() / mask.sum()


def completion_mean(terms: Tensor, mask: Tensor) -> Tensor:
    return ((terms * mask).sum(1) / mask.sum(1)).mean()


MEANS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "grpo": completion_mean,
    "dapo": token_mean,
    "bnpo": token_mean,
    "dr_grpo": lambda terms, mask: (terms * mask).sum() / (len(mask) * LENGTH),
    "cispo": token_mean,
}


def mean_loss(model: Any, batch: dict[str, Tensor], loss_type: str, beta: float = BETA) -> Tensor:
    """The loss of the rows of a batch alone, on the policy that sampled them: every ratio is 1, and its gradient that
    of the log-probability."""
    now, mask = log_probabilities(model, batch), batch["completion_mask"]
    advantages = batch["advantages"][:, None].double()
    if loss_type == "rloo":
        ratio = ((now - now.detach()) * mask).sum(1).exp()
        return -(ratio * advantages[:, 0]).mean()
    first = -advantages * (now if loss_type == "cispo" else (now - now.detach()).exp())
    apart = batch["ref_per_token_logps"] - now if beta else torch.zeros_like(now)
    return MEANS[loss_type](first + beta * (apart.exp() - apart - 1), mask)


def rows_where(batch: dict[str, Tensor], chosen: list[bool]) -> dict[str, Tensor]:
    keep = torch.tensor(chosen)
    return {name: value[keep] for name, value in batch.items() if value.dim() > 0}


def parts_of(seen: Seen) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    is_task = [isinstance(row, AlignmentTask) for row in seen.rows]
    return rows_where(seen.output, [not one for one in is_task]), rows_where(seen.output, is_task)


def gradient(loss: Tensor, model: Any) -> dict[str, Tensor]:
    named = dict(model.named_parameters())
    return dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


def assert_same(given: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-4) -> None:
    assert given.keys() == expected.keys()
    scale = max(one.abs().max().item() for one in expected.values())
    assert scale > 0
    for name, value in given.items():
        assert (value - expected[name]).abs().max().item() < tolerance * scale, name


LOSSES = [
    ("grpo", {"loss_type": "grpo"}),
    ("grpo", {"loss_type": "dapo"}),
    ("grpo", {"loss_type": "bnpo"}),
    ("grpo", {"loss_type": "dr_grpo"}),
    ("grpo", {"loss_type": "cispo", "epsilon_high": 5.0}),
    ("reinforce_plus_plus", {"loss_type": "dapo"}),
    ("rloo", {}),
    ("grpo", {"loss_type": "grpo", "steps_per_generation": 4}),
    ("grpo", {"loss_type": "dapo", "steps_per_generation": 4}),
    ("rloo", {"steps_per_generation": 4}),
]


@pytest.mark.parametrize(("algorithm", "how"), LOSSES)
def test_loss_and_gradient_are_the_mean_over_code_plus_weight_times_the_mean_over_alignment(
    algorithm: str, how: dict[str, Any], once: Callable[..., Seen]
) -> None:
    seen = once({"weight": WEIGHT}, algorithm, **how)
    code, alignment = parts_of(seen)
    assert (len(code["advantages"]), len(alignment["advantages"])) == (GROUPS * SIZE, GROUPS * SIZE)
    assert all(one["advantages"].abs().max() > 0 for one in (code, alignment)), "rewards should differ"
    update = seen.updates[-1]
    model = model_of(update)
    loss = mean_loss(model, code, seen.loss_type) + WEIGHT * mean_loss(model, alignment, seen.loss_type)
    assert sum(update.losses) == pytest.approx(loss.item(), abs=1e-6)
    assert_same(update.gradient, gradient(loss, model))
