"""Hidden states at marks, on disk: `NNNNN.npy` holds those of `SHARD` passages, (layers L, marks M, width D), float32.

A file appears when it is complete; what is there is not computed again. In memory are the hidden states of one batch
and the marks of one file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coderlplus.errors import ConfigError, DataError
from coderlplus.evaluation.backends.local import is_out_of_memory
from coderlplus.records.files import whole_file
from coderlplus_lab.probes.models import Tokens

if TYPE_CHECKING:
    import numpy as np

SHARD = 128
"""Passages in a file."""
BATCH_TOKENS = 4096
"""Tokens that are read together, padding included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is looked at: passages as tokens, the marks chosen as (passage, mark in it) in order, the layers (0: the
    embedding)."""

    tokens: Sequence[Tokens]
    marks: Sequence[tuple[int, int]]
    layers: Sequence[int]

    def shards(self) -> list[list[int]]:
        """The passages of each file."""
        used = sorted({index for index, _ in self.marks})
        return [used[start : start + SHARD] for start in range(0, len(used), SHARD)]


class Activations:
    """The hidden states of one model at the marks of a plan, in `folder`."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self.plan = plan
        self.shards = plan.shards()
        shard_of = {index: number for number, shard in enumerate(self.shards) for index in shard}
        self._at: list[tuple[int, int]] = []
        sizes: dict[int, int] = defaultdict(int)
        for index, _ in plan.marks:
            shard = shard_of[index]
            self._at.append((shard, sizes[shard]))
            sizes[shard] += 1
        self._sizes = [sizes[number] for number in range(len(self.shards))]

    def path(self, shard: int) -> Path:
        return self.folder / f"{shard:05}.npy"

    def missing(self) -> list[int]:
        """The files that are still to be made."""
        return [shard for shard in range(len(self.shards)) if not self._is_whole(shard)]

    def compute(self, model: Any, shard: int) -> None:
        """Make a file. Raises `ConfigError` if one passage alone does not fit into memory, `DataError` if the file
        cannot be written."""
        import numpy as np

        at: dict[int, list[tuple[int, int]]] = defaultdict(list)
        first, size = sum(self._sizes[:shard]), self._sizes[shard]
        for number, (index, mark) in enumerate(self.plan.marks[first : first + size]):
            at[index].append((number, self.plan.tokens[index].places[mark]))
        states_LMD: Any = None
        texts = {index: self.plan.tokens[index].ids for index in self.shards[shard]}
        for index, states_LTD in _read(model, texts, self.plan.layers):
            if states_LMD is None:
                states_LMD = np.empty((len(self.plan.layers), size, states_LTD.shape[2]), dtype=np.float32)
            for number, token in at[index]:
                states_LMD[:, number] = states_LTD[:, token]
        if not np.isfinite(states_LMD).all():
            raise DataError(
                f"the hidden states of a model have values that are not numbers ({self.folder.name}); load it in "
                "another precision"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_file(self.path(shard), "wb") as file:
                np.save(file, states_LMD)
        except OSError as error:
            raise DataError(
                f"cannot write {self.path(shard)}: {error.strerror}; finished passages are kept, free space and rerun "
                "the command"
            ) from error

    def rows(self, layer: int, places: Sequence[int]) -> np.ndarray:
        """The hidden states at some marks, by their places in the plan, in one of the plan's layers: (rows, D)."""
        import numpy as np

        by_shard: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for row, place in enumerate(places):
            shard, number = self._at[place]
            by_shard[shard].append((row, number))
        result: Any = None
        for shard, members in by_shard.items():
            states_MD = np.load(self.path(shard), mmap_mode="r")[self.plan.layers.index(layer)]
            if result is None:
                result = np.empty((len(places), states_MD.shape[1]), dtype=np.float32)
            result[[row for row, _ in members]] = states_MD[[number for _, number in members]]
        found: np.ndarray = result
        return found

    def _is_whole(self, shard: int) -> bool:
        import numpy as np

        try:
            shape = np.load(self.path(shard), mmap_mode="r").shape
        except (OSError, ValueError, EOFError):
            return False
        return bool(shape[:2] == (len(self.plan.layers), self._sizes[shard]))


def _read(model: Any, texts: dict[int, list[int]], layers: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """For each text, by number, its hidden states (L, T, D); texts of like length are read together, padded on the
    right."""
    import torch

    waiting = sorted(texts, key=lambda index: (-len(texts[index]), index))
    budget = BATCH_TOKENS
    while waiting:
        longest = len(texts[waiting[0]])
        batch = waiting[: max(1, budget // longest)]
        ids_BT = torch.zeros((len(batch), longest), dtype=torch.long)
        mask_BT = torch.zeros_like(ids_BT)
        for row, index in enumerate(batch):
            ids_BT[row, : len(texts[index])] = torch.tensor(texts[index])
            mask_BT[row, : len(texts[index])] = 1
        try:
            with torch.no_grad():
                output = model(
                    input_ids=ids_BT.to(model.device),
                    attention_mask=mask_BT.to(model.device),
                    output_hidden_states=True,
                    use_cache=False,
                )
            states_LBTD = torch.stack([output.hidden_states[layer].float().cpu() for layer in layers])
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise ConfigError(
                    f"a text of {longest} tokens does not fit into memory; use a larger device or leave long "
                    "programs out"
                ) from error
            budget //= 2
            if model.device.type == "cuda":
                torch.cuda.empty_cache()
            continue
        waiting = waiting[len(batch) :]
        for row, index in enumerate(batch):
            yield index, states_LBTD[:, row, : len(texts[index])].numpy()


def spaced(layers: int, count: int) -> list[int]:
    """At most `count` of the layers 0 (the embedding) to `layers`, evenly spaced, the first and the last among them.

    >>> spaced(3, 9), spaced(28, 5)
    ([0, 1, 2, 3], [0, 7, 14, 21, 28])
    """
    if count > layers:
        return list(range(layers + 1))
    return sorted({round(number * layers / (count - 1)) for number in range(count)})
