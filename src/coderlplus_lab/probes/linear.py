"""The probe: a linear classifier, asked only about programs that it has not learnt from.

Logistic regression with an L2 penalty on standardised features. The programs are cut into folds; for each fold the
strength of the penalty is chosen on a part of the programs that are learnt from, and then the fold is asked. The same
with labels shuffled within each fold is the control that has to come out at chance.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from coderlplus.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

FOLDS = 4
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""Values of C, the inverse of the penalty's weight, from which each fold chooses."""
_INNER_FOLDS = 3
_ITERATIONS = 200


def check_installed() -> None:
    """Raises `ConfigError` if scikit-learn is missing."""
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise ConfigError("probes need scikit-learn: pip install 'coderlplus[probe]'") from error


@dataclass(frozen=True, slots=True)
class Fold:
    """Numbers of rows: `fit` and `check` choose the strength, both are learnt from, `asked` are asked about. No
    program is in two of them."""

    fit: np.ndarray
    check: np.ndarray
    asked: np.ndarray


@lru_cache(maxsize=2)
def folds_of(labels: tuple[int, ...], units: tuple[int, ...], seed: int) -> list[Fold]:
    """Cut rows into folds with like shares of each class, rows of one unit together."""
    import numpy as np
    from sklearn.model_selection import StratifiedGroupKFold

    y, groups = np.asarray(labels), np.asarray(units)
    zeros = np.zeros((len(y), 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer rows than folds in the inner cut
        found = []
        for learnt, asked in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(zeros, y, groups):
            inner = StratifiedGroupKFold(_INNER_FOLDS, shuffle=True, random_state=seed)
            fit, check = next(inner.split(zeros[learnt], y[learnt], groups[learnt]))
            found.append(Fold(learnt[fit], learnt[check], asked))
    return found


def right(features: Any, labels: Sequence[int], folds: Sequence[Fold]) -> np.ndarray:
    """For each row whether the probe says its class, learnt from other programs: (rows,) of bool.

    `features` is (rows, D), dense or a SciPy sparse matrix.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    y = np.asarray(labels)
    hits = np.zeros(len(y), dtype=bool)
    with threadpool_limits(1, user_api="blas"):  # products of matrices this small cost more in several threads
        for fold in folds:
            strength = max(STRENGTHS, key=lambda c: (_hits(features, y, fold.fit, fold.check, c).mean(), -c))
            hits[fold.asked] = _hits(features, y, np.concatenate([fold.fit, fold.check]), fold.asked, strength)
    return hits


def shuffled(labels: Sequence[int], folds: Sequence[Fold], seed: int) -> list[int]:
    """The labels in random order within each fold, so that each fold keeps its share of every class."""
    import numpy as np

    rng = np.random.default_rng(seed)
    y = np.asarray(labels).copy()
    for fold in folds:
        y[fold.asked] = rng.permutation(y[fold.asked])
    return [int(label) for label in y]


def _hits(features: Any, y: np.ndarray, learnt: np.ndarray, asked: np.ndarray, strength: float) -> np.ndarray:
    """Which of the rows asked about a probe has right that learns from others."""
    import numpy as np
    from scipy.sparse import issparse
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler(with_mean=not issparse(features)).fit(features[learnt])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier = LogisticRegression(C=strength, max_iter=_ITERATIONS, tol=1e-3).fit(
            scaler.transform(features[learnt]), y[learnt]
        )
    found: np.ndarray = np.asarray(classifier.predict(scaler.transform(features[asked]))) == y[asked]
    return found
