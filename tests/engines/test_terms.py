"""Alignment as a term of its own (`alignment.weight`): loss and gradient of an update against formulas written here,
in double precision on the tiny model's weights.

A run is stopped after two updates. The tests look at the second one, in which the policy differs from the reference:
the weights before it, what TRL generated and scored (before anything is taken apart), and the gradient after it.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import trl
from tests.engines.conftest import make_model
from torch.nn.functional import cross_entropy

from coderlplus.alignment import AlignmentConfig, reference_answer
from coderlplus.engines.models import load_tokenizer
from coderlplus.engines.run_folder import RunFolder
from coderlplus.engines.trl.alignment import trl_alignment
from coderlplus.engines.trl.config import make_config
from coderlplus.engines.trl.train import train
from coderlplus.engines.trl.trainer import AlignmentMixin
from coderlplus.engines.verl.config import plugin_settings
from coderlplus.errors import ConfigError
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


@pytest.mark.parametrize(("algorithm", "how"), [LOSSES[0], LOSSES[1], LOSSES[6]])
def test_a_weight_near_0_is_the_gradient_of_the_code_batch_alone(
    algorithm: str, how: dict[str, Any], once: Callable[..., Seen]
) -> None:
    seen = once({"weight": 1e-9}, algorithm, **how)
    update, (code, alignment) = seen.updates[-1], parts_of(seen)
    assert len(alignment["advantages"]) == GROUPS * SIZE
    model = model_of(update)
    assert_same(update.gradient, gradient(mean_loss(model, code, seen.loss_type), model))


@pytest.mark.parametrize("how", [{"loss_type": "dapo"}, {"loss_type": "grpo"}])
def test_supervised_with_a_weight_near_0_is_the_run_without_alignment(
    how: dict[str, Any], settings: dict[str, Any], once: Callable[..., Seen]
) -> None:
    """The prompts, what is sampled for them, the gradient: nothing of the code batch differs."""
    seen = once({"weight": 1e-9, "objective": "supervised"}, **how)
    plain = once({}, top={"alignment": False}, **how)
    assert [row.problem_id for row in seen.rows] == [row.problem_id for row in plain.rows]
    assert torch.equal(seen.output["completion_ids"], plain.output["completion_ids"])
    assert_same(seen.updates[-1].gradient, plain.updates[-1].gradient)
    assert seen.metrics["samples"] == plain.metrics["samples"] == 2 * GROUPS * SIZE


def answers_loss(model: Any, seen: Seen, tokenizer: Any) -> Tensor:
    """Torch's cross-entropy of the answers, each as a conversation without padding: the prompt has no labels."""
    found = []
    for task in seen.taught:
        conversation = [{"role": "user", "content": task.prompt}]
        prompt = tokenizer.apply_chat_template(conversation, tokenize=True, add_generation_prompt=True)["input_ids"]
        answer = tokenizer(reference_answer(task) + "<eos>")["input_ids"]
        assert len(answer) < LENGTH
        labels = torch.tensor([-100] * len(prompt) + answer)
        logits = model(input_ids=torch.tensor([prompt + answer])).logits[0]
        found.append(cross_entropy(logits[:-1], labels[1:], reduction="none"))
    tokens = torch.cat([losses[losses != 0] for losses in found])
    of_answers = torch.stack([losses.sum() / (losses != 0).sum() for losses in found])
    return tokens.mean() if seen.loss_type == "dapo" else of_answers.mean()


@pytest.mark.parametrize(("algorithm", "how"), [*LOSSES[:2], LOSSES[6], *(LOSSES[number] for number in (7, 8, 9))])
def test_supervised_adds_the_cross_entropy_of_known_answers(
    algorithm: str, how: dict[str, Any], once: Callable[..., Seen], tiny_model: Path
) -> None:
    seen = once({"weight": WEIGHT, "objective": "supervised"}, algorithm, **how)
    assert len(seen.taught) == GROUPS
    assert not any(isinstance(row, AlignmentTask) for row in seen.rows)
    update = seen.updates[-1]
    model = model_of(update)
    surprise = answers_loss(model, seen, load_tokenizer(str(tiny_model)))
    loss = mean_loss(model, seen.output, seen.loss_type) + WEIGHT * surprise
    assert sum(update.losses) == pytest.approx(loss.item(), abs=1e-5)
    assert_same(update.gradient, gradient(loss, model))
    if seen.loss_type == "dapo":
        assert seen.metrics["cross_entropy/alignment"] == pytest.approx(surprise.item(), abs=1e-5)


def test_prompts_to_learn_from_are_those_that_are_sampled_for(once: Callable[..., Seen]) -> None:
    """The chat template and its tokens: as TRL makes them for the same task."""
    sampled, taught = once({"weight": WEIGHT}), once({"weight": WEIGHT, "objective": "supervised"})
    shown = {
        row.task_id: ids[mask.bool()].tolist()
        for row, ids, mask in zip(
            sampled.rows, sampled.output["prompt_ids"], sampled.output["prompt_mask"], strict=True
        )
        if isinstance(row, AlignmentTask)
    }
    (added,) = taught.updates[-1].batches[0]["added"]
    learnt = {
        task.task_id: ids[mask.bool()].tolist()
        for task, ids, mask in zip(taught.taught, added["prompt_ids"], added["prompt_mask"], strict=True)
    }
    assert learnt == shown


@pytest.mark.parametrize("objective", ["reward", "supervised"])
def test_every_update_on_a_generation_batch_has_as_many_added_rows(objective: str, once: Callable[..., Seen]) -> None:
    """Four micro-batches and two updates; 5.3 tasks would keep the share, and 6 or 5 can be split."""
    how = {"steps_per_generation": 4, "gradient_accumulation_steps": 2, "beta": 0.0}
    seen = once({"weight": WEIGHT, "objective": objective, "alpha": 3 / 7}, **how)
    counts = [sum(len(part["kinds"]) for one in update.batches for part in one["added"]) for update in seen.updates]
    assert counts == ([10, 10] if objective == "reward" else [3, 3])
    for update in seen.updates:
        assert all(len(one["advantages"]) == GROUPS * SIZE // 4 for one in update.batches)


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("loss_type", ["grpo", "dapo"])
def test_skipping_completions_without_advantage_does_not_change_the_gradient(
    steps: int, loss_type: str, once: Callable[..., Seen]
) -> None:
    how = {"loss_type": loss_type, "beta": 0.0, "steps_per_generation": steps}
    seen = once({"weight": WEIGHT}, top={"skip_zero_advantage": True}, **how)
    update, (code, alignment) = seen.updates[-1], parts_of(seen)
    assert sum(len(one["advantages"]) for one in update.batches) < GROUPS * SIZE
    model = model_of(update)
    loss = mean_loss(model, code, loss_type, 0.0) + WEIGHT * mean_loss(model, alignment, loss_type, 0.0)
    assert_same(update.gradient, gradient(loss, model))


def test_advantages_of_reinforce_plus_plus_are_normalised_within_each_term(once: Callable[..., Seen]) -> None:
    for part in parts_of(once({"weight": WEIGHT}, "reinforce_plus_plus", loss_type="dapo")):
        tokens = part["advantages"].repeat_interleave(part["completion_mask"].sum(1))
        assert tokens.mean().item() == pytest.approx(0, abs=1e-4)
        assert tokens.var(unbiased=True).item() == pytest.approx(1, abs=1e-4)


def kind_of(row: Any) -> str:
    return row.kind if isinstance(row, AlignmentTask) else "generation"


NAMES = ("generation", "alignment", "output", "final_values")


def is_of(row: Any, name: str) -> bool:
    return kind_of(row) == name or (name == "alignment" and isinstance(row, AlignmentTask))


@pytest.mark.parametrize("alignment", [{}, {"weight": WEIGHT}], ids=["mixed", "added"])
@pytest.mark.parametrize(("algorithm", "how"), [*LOSSES[:4], *LOSSES[6:9]], ids=lambda one: str(one))
def test_metrics_of_each_kind(
    alignment: dict[str, Any], algorithm: str, how: dict[str, Any], once: Callable[..., Seen]
) -> None:
    """Entropy of tokens, share of the loss, norm of the part of the gradient: of problems, of tasks, of each kind."""
    seen = once(alignment, algorithm, **how)
    model, loss_type = model_of(seen.updates[-1]), seen.loss_type
    per_token = loss_type not in ("grpo", "rloo")
    whole = len(seen.rows), int(seen.output["completion_mask"].sum())
    sizes: dict[str, float] = {}
    for name in NAMES:
        part = rows_where(seen.output, [is_of(row, name) for row in seen.rows])
        side = [is_of(row, "alignment") == (name != "generation") for row in seen.rows] if alignment else None
        base = seen.output if side is None else rows_where(seen.output, side)
        factor = WEIGHT if alignment and name != "generation" else 1.0
        rows, tokens = len(base["completion_mask"]), int(base["completion_mask"].sum())
        mask = part["completion_mask"]
        share = mask.sum().item() / tokens if loss_type in ("dapo", "bnpo") else len(mask) / rows

        found = gradient(factor * share * mean_loss(model, part, loss_type), model)
        norm = math.sqrt(sum(one.square().sum().item() for one in found.values()))
        assert seen.metrics[f"gradient_norm/{name}"] == pytest.approx(norm, rel=1e-3), name

        scores = logits_of(model, part).log_softmax(-1)
        entropy = token_mean(-(scores.exp() * scores).sum(-1), mask)
        assert seen.metrics[f"entropy/{name}"] == pytest.approx(entropy.item(), abs=1e-5), name

        counts = mask.sum(1) / tokens if per_token else torch.ones(len(mask)) / rows
        sizes[name] = factor * (part["advantages"].abs() * counts).sum().item()
    assert whole[0] == len(seen.rows)
    for name in NAMES:
        expected = sizes[name] / (sizes["generation"] + sizes["alignment"])
        assert seen.metrics[f"loss_share/{name}"] == pytest.approx(expected, abs=1e-5), name


def logits_of(model: Any, batch: dict[str, Tensor]) -> Tensor:
    tokens = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    attention = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    with torch.no_grad():
        logits: Tensor = model(input_ids=tokens, attention_mask=attention).logits
    return logits[:, -batch["completion_ids"].shape[1] - 1 : -1]


@pytest.mark.parametrize("alignment", [{}, {"weight": WEIGHT}], ids=["mixed", "added"])
def test_the_share_of_groups_without_variance_is_a_count(alignment: dict[str, Any], once: Callable[..., Seen]) -> None:
    seen = once(alignment)
    assert seen.run is not None
    groups = [json.loads(line) for line in (seen.run.path / "samples.jsonl").read_text().splitlines()]
    last = [group for group in groups if group["step"] == 2]
    for name in NAMES:
        rewards = [
            {sample["reward"]["value"] for sample in group["samples"]}
            for group in last
            if group["kind"] == name or (name == "alignment" and group["task"])
        ]
        count = sum(len(values) == 1 for values in rewards)
        assert seen.metrics[f"zero_variance/{name}"] == pytest.approx(count / len(rewards))


def test_a_batch_of_one_kind_has_its_gradient_in_grad_norm(once: Callable[..., Seen]) -> None:
    seen = once({}, top={"alignment": False}, loss_type="dapo")
    assert not any(name.startswith("gradient_norm/") for name in seen.metrics)
    assert seen.metrics["entropy/generation"] == pytest.approx(seen.metrics["entropy"], abs=1e-5)
    assert seen.metrics["loss_share/generation"] == 1.0


@pytest.mark.parametrize("alignment", [{}, {"weight": WEIGHT}], ids=["mixed", "added"])
def test_measuring_gradients_does_not_change_the_run(alignment: dict[str, Any], once: Callable[..., Seen]) -> None:
    often, rarely = once(alignment), once(alignment, top={"samples_every": 100})
    assert "gradient_norm/generation" not in rarely.metrics
    for name, value in often.updates[-1].gradient.items():
        assert torch.equal(value, rarely.updates[-1].gradient[name])
    measured = {name for name in often.metrics if name.startswith(("gradient_norm/", "seconds/"))}
    assert {name: value for name, value in often.metrics.items() if name not in measured} == {
        name: value for name, value in rarely.metrics.items() if not name.startswith("seconds/")
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": 0}, "weight must be a number above 0"),
        ({"weight": "much"}, "weight must be a number, not 'much'"),
        ({"weight": 1, "alpha": 0}, "set alpha above 0"),
        ({"objective": "supervised"}, "set weight too"),
        ({"objective": "supervised", "weight": 1, "sampling": "solvable"}, "take recent or uniform"),
        ({"objective": "rehearsal"}, "objective must be one of reward, supervised"),
        ({"wieght": 1}, "did you mean 'alignment.weight'"),
    ],
)
def test_meaningless_settings_are_refused(settings: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_config(settings | {"output": "run", "alignment": changes})


@pytest.mark.parametrize("how", [{"scale_rewards": "batch"}, {"multi_objective_aggregation": "normalize_then_sum"}])
def test_advantages_over_the_batch_are_refused(how: dict[str, Any], once: Callable[..., Seen]) -> None:
    with pytest.raises(ConfigError, match=f"trl.{next(iter(how))}"):
        once({"weight": WEIGHT}, **how)


def test_verl_and_ones_own_trainer_refuse_a_term() -> None:
    with pytest.raises(ConfigError, match="weight makes alignment a term"):
        plugin_settings({"alignment": {"weight": 1}})
    with pytest.raises(ConfigError, match="use coderlplus train"):
        trl_alignment(None, [], None, settings=AlignmentConfig(weight=1))  # type: ignore[arg-type]


@pytest.mark.parametrize("objective", ["reward", "supervised"])
def test_a_run_resumed_within_a_generation_batch_is_the_same(
    objective: str, settings: dict[str, Any], task_file: Path, tmp_path: Path
) -> None:
    trl = settings["trl"] | {
        "per_device_train_batch_size": 4,
        "steps_per_generation": 4,
        "gradient_accumulation_steps": 2,
        "max_completion_length": LENGTH,
        "save_steps": 1,
        "save_total_limit": 10,
        "max_steps": 6,
    }
    alignment = settings["alignment"] | {"weight": WEIGHT, "objective": objective, "task_file": str(task_file)}
    runs = [settings | {"trl": trl, "alignment": alignment, "output": str(tmp_path / name)} for name in ("a", "b")]
    whole = train(make_config(runs[0]))
    shutil.copytree(whole.path, tmp_path / "b")
    shutil.rmtree(tmp_path / "b" / "final")
    for step in (4, 5, 6):
        shutil.rmtree(tmp_path / "b" / "checkpoints" / f"checkpoint-{step}")
    resumed = train(make_config(runs[1]))
    assert (whole.final / "model.safetensors").read_bytes() == (resumed.final / "model.safetensors").read_bytes()
