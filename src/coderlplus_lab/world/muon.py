"""Muon (Jordan et al. 2024): momentum whose update is orthogonalised, for the matrices inside a transformer.

Unlike `torch.optim.Muon` it stays in fp32, since bf16 is slow on CPUs (14 times, here), and orthogonalises all
matrices of one shape in one batch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
EPSILON = 1e-7


def orthogonalised(matrices_NRC: torch.Tensor, steps: int = 4) -> torch.Tensor:
    """Matrices with the same row and column spaces whose singular values are all near 1, by Newton–Schulz iteration.
    Shape (N, R, C), R ≤ C."""
    x: torch.Tensor = matrices_NRC / (matrices_NRC.norm(dim=(1, 2), keepdim=True) + EPSILON)
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised, with decoupled weight decay. All parameters must be matrices."""

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        lr: float,
        *,
        momentum: float = 0.95,
        weight_decay: float = 0.05,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            wide: dict[torch.Size, list[tuple[torch.nn.Parameter, torch.Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                velocity = self.state[parameter].setdefault("velocity", torch.zeros_like(parameter))
                velocity.mul_(group["momentum"]).add_(parameter.grad)
                update = parameter.grad + group["momentum"] * velocity
                update = update.T if update.shape[0] > update.shape[1] else update
                wide[update.shape].append((parameter, update))
            for items in wide.values():
                updates = orthogonalised(torch.stack([update for _, update in items]))
                for (parameter, _), update in zip(items, updates, strict=True):
                    rows, columns = parameter.shape
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(
                        update.T if rows > columns else update, alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5
                    )
