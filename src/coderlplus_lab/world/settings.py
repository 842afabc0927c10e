"""How a warm start trains. Beside `warm_start.py` because reading a study must not load torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStartSettings:
    """How the warm start trains; shares are of `batch_size`, places in time are shares of `steps`."""

    steps: int = 1300
    batch_size: int = 32
    seed: int = 0
    lr_muon: float = 0.02
    lr_adam: float = 3e-3
    early_prediction_share: float = 0.85
    late_prediction_share: float = 0.4
    early_until: float = 0.35
    single_operations_until: float = 0.15
    mutated: float = 0.3
    """Share of predicted programs in which one operation was replaced."""
    faulty: float = 0.4
    """Share of the programs learnt from that are wrong, as programs found in the world are."""
    plain: float = 0.0
    """Share of the programs learnt from that have no comments."""
    reasoned: bool = False
    """Whether the answer to an alignment task comes after the values that the run gives every variable, a line
    each."""
