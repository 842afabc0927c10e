"""Operations on TRL's generation batches."""

from __future__ import annotations

from typing import Any

import torch

Batch = dict[str, Any]
"""A generation batch as TRL keeps it: tensors by name."""


def without_zero_advantage(output: Batch, *, multiple_of: int, mean_over_rows: bool) -> Batch:
    """Leave completions out of the update whose advantage is 0: without KL and entropy terms their gradient is 0 too.

    `output` is TRL's generation batch (B rows). At least `multiple_of` rows are kept, and a multiple of it, so that
    the batch still splits into micro-batches; columns that only hold padding go. The gradient stays the same: losses
    divided by the tokens of the whole batch need nothing, and for one that is a mean over rows (`mean_over_rows`) the
    advantages are scaled by the share of rows kept.
    """
    advantages_B = output["advantages"]
    total = len(advantages_B)
    count = max(multiple_of, -(-int((advantages_B != 0).sum()) // multiple_of) * multiple_of)
    kept = (advantages_B != 0).int().argsort(descending=True, stable=True)[:count].sort().values
    rows = {
        name: value[kept] if isinstance(value, torch.Tensor) and value.dim() > 0 else value
        for name, value in output.items()
    }
    if mean_over_rows:
        rows["advantages"] = rows["advantages"] * (count / total)
    for side in ("prompt", "completion"):
        used = rows[f"{side}_mask"].any(dim=0)
        used[-1 if side == "prompt" else 0] = True
        of_side = [f"{side}_ids", f"{side}_mask"]
        if side == "completion":
            of_side += [name for name in ("old_per_token_logps", "sampling_per_token_logps") if name in rows]
        rows |= {name: rows[name][:, used] for name in of_side}
    return rows
