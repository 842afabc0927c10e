"""The term of its own that `alignment.weight` gives to alignment in the loss: two hooks of the trainers' mixin (see
`trainer`).

    loss = mean over code + λ · mean over alignment

Each mean is that of the run's loss, over tokens or over completions: TRL computes its loss on the rows of each part
alone. With `alignment.objective: supervised` the second one is the cross-entropy of the known answers. A generation
batch is TRL's own with the rows of alignment taken out; they lie beside its micro-batches as `added`, split alike, so
that every update has as many of them, and a checkpoint in between holds them.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from coderlplus.alignment import reference_answer
from coderlplus.engines.trl.arguments import updates
from coderlplus.engines.trl.measures import BATCH_SUMS, COMPLETION_MEANS, MeasuresMixin
from coderlplus.engines.trl.tensors import Batch, picked, without_zero_advantage
from coderlplus.evaluation.generate import token_ids
from coderlplus.loop import Row
from coderlplus.records import AlignmentTask


class TermsMixin(MeasuresMixin):
    """The terms of the loss of a TRL trainer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        settings = self.steps.loop.settings if self.steps.loop else None
        self._is_supervised = settings is not None and settings.objective == "supervised"
        self._added: list[Batch] = []  # of a batch just generated, one a micro-batch
        super().__init__(*args, **kwargs)

    # Hook 7
    def _prepare_inputs(self, generation_batch: Any) -> Batch:
        inputs: Batch = super()._prepare_inputs(generation_batch)
        for micro_batch, added in zip(self._buffered_inputs or (), self._added, strict=False):
            if len(added["kinds"]):
                micro_batch["added"] = [added]
        self._added = []
        if self.model.training and self._is_to_measure:
            self._is_to_measure = False
            self._measure_gradients()
        return inputs

    # Hook 8
    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        loss: torch.Tensor = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if self.model.training:
            self._note_tokens(inputs)
            for added in inputs.get("added", ()):
                with self._metrics_aside():
                    loss = loss + self._weight * self._term(model, added)
        return loss

    def _terms(
        self, output: Batch, rows: Sequence[Row], taught: Sequence[AlignmentTask], *, skip_zero_advantage: bool
    ) -> Batch:
        """TRL's batch without the rows of an alignment term, which come beside it in `_prepare_inputs`. `rows` has
        the row of each of this process's completions, `taught` this process's tasks to learn from their answers."""
        output["kinds"] = self._numbers(rows)
        is_task = output["kinds"] > 1
        parts = [output]
        if taught:
            parts.append(self._answers(taught))
        elif self._weight and is_task.any():
            parts = [self._part(output, ~is_task), self._part(output, is_task)]
        self._log_shares(parts)
        count = self.args.steps_per_generation
        if skip_zero_advantage:
            means = self._loss in COMPLETION_MEANS
            parts = [
                without_zero_advantage(part, multiple_of=count, mean_over_rows=means) if "advantages" in part else part
                for part in parts
            ]
        self._added = self._split(parts[1]) if len(parts) > 1 else []
        return parts[0]

    def _part(self, output: Batch, chosen: torch.Tensor) -> Batch:
        part = picked(output, chosen.nonzero().flatten())
        if "num_items_in_batch" in part:
            part["num_items_in_batch"] = self.accelerator.gather(part["completion_mask"].sum()).sum()
        return part

    def _split(self, part: Batch) -> list[Batch]:
        """The alignment part of a generation batch as micro-batches, with the `share` by which TRL's loss of each is
        multiplied (of answers, their sum)."""
        parts, rows = updates(self.args), torch.arange(len(part["kinds"]))
        size = self.args.steps_per_generation // parts
        places = [rows[first::parts][place::size] for first in range(parts) for place in range(size)]
        return [picked(part, place) | {"share": self._share(part, len(place))} for place in places]

    def _share(self, part: Batch, rows: int) -> torch.Tensor:
        steps, size = self.args.steps_per_generation, len(part["kinds"])
        share = torch.ones((), device=part["kinds"].device)
        if "advantages" not in part:
            processes, tokens = self.accelerator.num_processes, part["num_items_in_batch"]
            share *= steps / size if self._loss in COMPLETION_MEANS else steps * processes / tokens
            return share
        return share if self._loss in BATCH_SUMS else share * (rows * steps / size)

    def _answers(self, tasks: Sequence[AlignmentTask]) -> Batch:
        """Prompts and known answers as TRL keeps prompts and completions: an answer ends like a completion, and is
        cut where one would be."""
        tokenizer, template = self._tokenizer, getattr(self.args, "chat_template_kwargs", None) or {}
        prompts = [token_ids(tokenizer, self._prompt(task), **template) for task in tasks]
        answers = [tokenizer(reference_answer(task), add_special_tokens=False)["input_ids"] for task in tasks]
        answers = [[*ids, tokenizer.eos_token_id][: self.max_completion_length] for ids in answers]
        part = {"kinds": self._numbers(tasks)}
        for side, rows in (("prompt", prompts), ("completion", answers)):
            at = "left" if side == "prompt" else "right"
            ids = [torch.tensor(row, device=self.accelerator.device) for row in rows]
            part[f"{side}_ids"] = pad_sequence(ids, True, tokenizer.pad_token_id, padding_side=at)
            part[f"{side}_mask"] = pad_sequence([torch.ones_like(row) for row in ids], True, 0, padding_side=at)
        part["num_items_in_batch"] = self.accelerator.gather(part["completion_mask"].sum()).sum()
        return part

    def _term(self, model: Any, part: Batch) -> torch.Tensor:
        """The loss of a micro-batch of the alignment part, scaled as the trainer's own."""
        if "advantages" in part:
            loss: torch.Tensor = super().compute_loss(model, part) * part["share"]
            self._note_tokens(part)
            return loss
        ids, mask = part["completion_ids"], part["completion_mask"]
        tokens = torch.cat([part["prompt_ids"], ids], 1)
        attention = torch.cat([part["prompt_mask"], mask], 1)
        length = ids.shape[1]
        few = {"logits_to_keep": length + 1} if self._takes("logits_to_keep") else {}
        with self.accelerator.autocast():
            logits = model(input_ids=tokens, attention_mask=attention, use_cache=False, **few).logits
        logits = logits[:, -length - 1 : -1].to(torch.promote_types(logits.dtype, torch.float32))
        surprise = cross_entropy(logits.flatten(0, 1), ids.flatten(), reduction="none").view_as(ids) * mask
        with torch.no_grad():
            scores = logits.log_softmax(-1)
            self._entropies = -(scores.exp() * scores).sum(-1)
            self._note_tokens(part, surprise.detach())
        loss = (surprise.sum(1) / mask.sum(1)).sum() if self._loss in COMPLETION_MEANS else surprise.sum()
        loss = loss * part["share"]
        return loss / self.current_gradient_accumulation_steps if self.SCALES_LOSS else loss

    def _takes(self, argument: str) -> bool:
        """Whether the model's forward pass has an argument of this name."""
        model = self.accelerator.unwrap_model(self.model)
        model = model.get_base_model() if hasattr(model, "get_base_model") else model
        return argument in inspect.signature(model.forward).parameters
