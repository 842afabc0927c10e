"""What each kind of row has in a step: metrics of the trainers' mixin (see `trainer`).

The entropy of its tokens; its share of the loss, which is |advantage| times the weight of the completion (or of its
tokens) in the mean; and the norm of its part of the gradient, on batches of which samples are written, because it
costs another pass forward and backward.
"""

from __future__ import annotations

import contextlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import torch

from coderlplus.engines.batches import kind_number, selections
from coderlplus.engines.steps import Steps
from coderlplus.engines.trl.tensors import Batch, picked
from coderlplus.loop import Row

_Trainer: Any = object  # what a type checker is to think of the next base

COMPLETION_MEANS = ("grpo", "sapo", "rloo")
"""Losses that are a mean over completions; the others count tokens."""
BATCH_SUMS = ("dapo", "cispo", "vespo")
"""Losses that TRL divides by the tokens of the generation batch; the others are means over a micro-batch."""


class MeasuresMixin(_Trainer):  # type: ignore[misc]
    """Entropy, share of the loss and norm of the gradient by kind of row, of a TRL trainer."""

    steps: Steps
    SCALES_LOSS: ClassVar[bool]
    """Whether the trainer's loss is divided by the micro-batches of an update already."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        settings = self.steps.loop.settings if self.steps.loop else None
        self._kinds = tuple(settings.shares) if settings else ()
        self._weight = 0.0 if settings is None or settings.weight is None else settings.weight
        self._present: list[float] = []  # rows of the generation batch by number of kind, of all processes
        self._is_to_measure = False
        self._entropies: torch.Tensor | None = None  # of the last forward pass, (B, T)
        self._token_sums: torch.Tensor | None = None  # entropy, cross-entropy and tokens by number of kind
        super().__init__(*args, **kwargs)

    def _term(self, model: Any, part: Batch) -> torch.Tensor:
        raise NotImplementedError

    # Hook 9
    def _get_per_token_logps_and_entropies(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        scores = super()._get_per_token_logps_and_entropies(model, *args, **kwargs)
        self._entropies = None if scores[1] is None else scores[1].detach()
        return scores

    def log_terms(self) -> None:
        """Log what the tokens of the update were, by kind; every process calls this at the end of a step."""
        if self._token_sums is None:
            return
        entropy, surprise, tokens = self.accelerator.reduce(self._token_sums, reduction="sum").tolist()
        self._token_sums = None
        for name, numbers in selections(self._kinds).items():
            if count := sum(tokens[number] for number in numbers):
                self._log({f"entropy/{name}": sum(entropy[number] for number in numbers) / count})
                if total := sum(surprise[number] for number in numbers):
                    self._log({f"cross_entropy/{name}": total / count})

    def _log(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._metrics["train"][name].append(value)

    @property
    def _loss(self) -> str:
        return str(getattr(self, "loss_type", "rloo"))

    def _numbers(self, rows: Sequence[Row]) -> torch.Tensor:
        numbers = [kind_number(row, self._kinds) for row in rows]
        return torch.tensor(numbers, dtype=torch.long, device=self.accelerator.device)

    def _note_tokens(self, part: Batch, surprise: torch.Tensor | None = None) -> None:
        """Add the entropies of the last forward pass, and cross-entropies, to the sums of their kinds."""
        if self._entropies is None or "kinds" not in part:
            return
        mask = part["completion_mask"]
        each = torch.stack(
            [
                (self._entropies * mask).sum(1),
                torch.zeros_like(mask[:, 0]) if surprise is None else surprise.sum(1),
                mask.sum(1),
            ]
        )
        self._token_sums = self._by_kind(part, each) + (0 if self._token_sums is None else self._token_sums)

    def _by_kind(self, part: Batch, values: torch.Tensor) -> torch.Tensor:
        """Sums of values (…, B) by number of kind."""
        sums = torch.zeros(*values.shape[:-1], 3 + len(self._kinds), dtype=torch.float64, device=values.device)
        return sums.index_add(-1, part["kinds"], values.double())

    def _log_shares(self, parts: Sequence[Batch]) -> None:
        """Log the share of each kind in the loss of a generation batch, and keep which kinds are in it."""
        total = torch.zeros(3 + len(self._kinds), dtype=torch.float64, device=self.accelerator.device)
        rows = total.clone()
        for factor, part in zip((1.0, self._weight), parts, strict=False):
            mask = part["completion_mask"].sum(1)
            counts, all_rows = mask if self._loss not in COMPLETION_MEANS else (mask > 0).long(), torch.ones_like(mask)
            size = part["advantages"].abs() if "advantages" in part else torch.ones_like(mask)
            sums = self.accelerator.reduce(self._by_kind(part, torch.stack([counts * size, all_rows, counts])))
            whole = sums[1] if self._loss in COMPLETION_MEANS else sums[2]
            total += factor * sums[0] / whole.sum().clamp(min=1)
            rows += sums[1]
        self._present = rows.tolist()
        if everything := total.sum().item():
            for name, numbers in selections(self._kinds).items():
                if any(self._present[number] for number in numbers):
                    self._log({f"loss_share/{name}": total[list(numbers)].sum().item() / everything})

    def _measure_gradients(self) -> None:
        """Log the norm of each kind's part of the gradient in the first update on a generation batch, before clipping.

        Left out where it is that of the whole gradient (one kind alone) or where it cannot be told apart: with FSDP or
        DeepSpeed, an entropy bonus, or the loss of routers.
        """
        parameters = [one for one in self.model.parameters() if one.requires_grad]
        if (
            sum(count > 0 for count in self._present) < 2
            or any(one.grad is not None for one in parameters)  # within an update
            or self.is_fsdp_enabled
            or self.is_deepspeed_enabled
            or getattr(self, "_entropy_bonus_enabled", False)
            or getattr(self, "aux_loss_enabled", False)
        ):
            return
        device = self.accelerator.device
        devices = [device] if device.type == "cuda" else []
        sums, norms = self._token_sums, {}
        with self._metrics_aside(), torch.random.fork_rng(devices):
            for name, numbers in selections(self._kinds).items():
                if any(self._present[number] for number in numbers):
                    self._backward(numbers)
                    norms[f"gradient_norm/{name}"] = self._norm(parameters)
        self._token_sums = sums
        self._log(norms)

    def _backward(self, numbers: Sequence[int]) -> None:
        """Compute the gradient of the rows of some kinds in the first update on the generation batch."""
        chosen = torch.tensor(numbers, device=self.accelerator.device)
        compute: Callable[[Any, Batch], torch.Tensor] = super().compute_loss
        steps = self.current_gradient_accumulation_steps
        for inputs in self._buffered_inputs[:steps]:
            parts = [(1.0, inputs, compute), *((self._weight, one, self._term) for one in inputs.get("added", ()))]
            for factor, part, loss in parts:
                rows = torch.isin(part["kinds"], chosen).nonzero().flatten()
                if not len(rows) and self.accelerator.num_processes == 1:
                    continue
                # another process may have such rows, and TRL's losses gather: a row that counts nothing
                share = self._share_of(part, rows) if len(rows) else 0.0
                value = loss(self.model, picked(part, rows if len(rows) else torch.zeros_like(chosen[:1])))
                torch.autograd.backward(value * (factor * share / (1 if self.SCALES_LOSS else steps)))

    def _share_of(self, part: Batch, rows: torch.Tensor) -> float:
        """What the loss of some rows is multiplied by, to be what they have in the loss of the part."""
        if "advantages" not in part or self._loss in BATCH_SUMS:
            return 1.0
        if self._loss == "bnpo":
            mask = part["completion_mask"]
            return float(mask[rows].sum() / mask.sum().clamp(min=1))
        return len(rows) / len(part["kinds"])

    def _norm(self, parameters: Sequence[torch.Tensor]) -> float:
        """The norm of the gradient, averaged over processes, which is then cleared."""
        total = 0.0
        for one in parameters:
            gradient = torch.zeros_like(one) if one.grad is None else one.grad
            if self.accelerator.num_processes > 1:
                gradient = self.accelerator.reduce(gradient, reduction="mean")
            total += float(gradient.double().square().sum())
            one.grad = None
        return math.sqrt(total)

    @contextlib.contextmanager
    def _metrics_aside(self) -> Iterator[None]:
        """Leave TRL's own metrics of the update as they are: they are those of its own batch."""
        kept, self._metrics["train"] = self._metrics["train"], defaultdict(list)
        try:
            yield
        finally:
            self._metrics["train"] = kept
