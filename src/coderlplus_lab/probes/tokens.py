"""What the tokens alone tell: the same probe on counts of tokens, without order and without a model.

Three bags side by side: the tokens of the whole text up to the mark, those of its line up to the mark, and the token
at the mark.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from coderlplus_lab.probes.models import Tokens


def bags(tokens: Sequence[Tokens], marks: Sequence[tuple[int, int]], ends_line: Callable[[int], bool]) -> Any:
    """The features of marks, given as (passage, mark in it): a SciPy CSR matrix (marks, columns), counts as the
    logarithm of 1 + count.

    `ends_line` says of a token id whether its text holds the end of a line.
    """
    import numpy as np
    from scipy.sparse import csr_matrix

    columns: dict[tuple[str, int], int] = {}
    values: list[float] = []
    numbers: list[int] = []
    starts = [0]
    for index, mark in marks:
        ids, place = tokens[index].ids, tokens[index].places[mark]
        line = next((start for start in range(place - 1, -1, -1) if ends_line(ids[start])), 0)
        counts = Counter(
            [("text", token) for token in ids[: place + 1]]
            + [("line", token) for token in ids[line : place + 1]]
            + [("mark", ids[place])]
        )
        for key, count in counts.items():
            numbers.append(columns.setdefault(key, len(columns)))
            values.append(float(np.log1p(count)))
        starts.append(len(numbers))
    return csr_matrix((values, numbers, starts), shape=(len(marks), len(columns)), dtype=np.float32)
