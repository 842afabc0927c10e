"""Operations on TRL's generation batches."""

from __future__ import annotations

from typing import Any

import torch

Batch = dict[str, Any]
"""A generation batch as TRL keeps it: tensors by name."""


def without_zero_advantage(output: Batch, *, multiple_of: int, mean_over_rows: bool) -> Batch:
    """Leave completions out of the update whose advantage is 0: without KL and entropy terms their gradient is 0 too.

    `output` is TRL's generation batch (B rows). At least `multiple_of` rows are kept, and a multiple of it (or all),
    so that the batch still splits into micro-batches; columns that only hold padding go. The gradient stays the same:
    losses divided by the tokens of the whole batch need nothing, and for one that is a mean over rows
    (`mean_over_rows`) the advantages are scaled by the share of rows kept.
    """
    advantages_B = output["advantages"]
    total = len(advantages_B)
    wanted = max(multiple_of, -(-int((advantages_B != 0).sum()) // multiple_of) * multiple_of)
    count = min(total, wanted)
    rows = picked(output, (advantages_B != 0).int().argsort(descending=True, stable=True)[:count].sort().values)
    if mean_over_rows:
        rows["advantages"] = rows["advantages"] * (count / total)
    return rows


def picked(output: Batch, rows: torch.Tensor) -> Batch:
    """The rows with these numbers; columns that then only hold padding go."""
    width = output["completion_ids"].shape[1]
    part = {
        name: value[rows] if isinstance(value, torch.Tensor) and value.dim() > 0 else value
        for name, value in output.items()
    }
    used = {side: part[f"{side}_mask"].any(dim=0) for side in ("prompt", "completion")}
    used["prompt"][-1] = used["completion"][0] = True
    for name, value in part.items():
        if name.startswith("prompt_"):
            part[name] = value[:, used["prompt"]]
        elif isinstance(value, torch.Tensor) and value.dim() == 2 and value.shape[1] == width:
            part[name] = value[:, used["completion"]]
    return part
