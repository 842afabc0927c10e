"""The probe finds what is planted and nothing where there is nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from coderlplus_lab.probes.linear import folds_of, right, shuffled

ROWS, WIDTH = 400, 48


def noise(seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(ROWS, WIDTH)).astype(np.float32)


def balanced(classes: int, seed: int = 1) -> tuple[int, ...]:
    return tuple(int(label) for label in np.random.default_rng(seed).permutation(ROWS) % classes)


def share(features: Any, labels: tuple[int, ...], units: tuple[int, ...] = tuple(range(ROWS))) -> float:
    return float(right(features, labels, folds_of(labels, units, 0)).mean())


@pytest.mark.parametrize("classes", [2, 5])
def test_a_planted_linear_feature_is_found(classes: int) -> None:
    labels = balanced(classes)
    directions = np.random.default_rng(2).normal(size=(classes, WIDTH))
    assert share(noise() + directions[list(labels)], labels) > 0.95


def test_an_ordered_feature_along_one_direction_is_found_too() -> None:
    labels = balanced(3)
    direction = np.random.default_rng(2).normal(size=WIDTH)
    assert share(noise() + 1.5 * np.outer(labels, direction), labels) > 0.95


@pytest.mark.parametrize("classes", [2, 5])
def test_noise_is_at_chance(classes: int) -> None:
    assert share(noise(), balanced(classes)) == pytest.approx(1 / classes, abs=0.09)


def test_shuffled_labels_are_at_chance_even_where_the_feature_is_planted() -> None:
    labels = balanced(2)
    features = noise() + 3 * np.outer(np.asarray(labels) - 0.5, np.ones(WIDTH))
    folds = folds_of(labels, tuple(range(ROWS)), 0)
    scores = [right(features, shuffled(labels, folds, seed), folds).mean() for seed in range(4)]
    assert np.mean(scores) == pytest.approx(0.5, abs=0.06)


def test_what_only_tells_the_program_apart_is_at_chance() -> None:
    units = tuple(row // 8 for row in range(ROWS))
    labels = tuple((unit * 7 + 3) % 2 for unit in units)
    names = np.random.default_rng(3).normal(size=(ROWS // 8, WIDTH))[list(units)] + 0.01 * noise()
    assert share(names, labels, tuple(range(ROWS))) > 0.9
    assert share(names, labels, units) < 0.7


def test_the_labels_of_a_fold_play_no_part_in_what_is_said_of_it() -> None:
    labels = balanced(2)
    folds = folds_of(labels, tuple(range(ROWS)), 0)
    asked = folds[0].asked
    other = np.asarray(labels)
    other[asked] = 1 - other[asked]
    assert (right(noise(), labels, folds)[asked] != right(noise(), list(other), folds)[asked]).all()


def test_shuffling_keeps_the_shares_of_each_fold() -> None:
    labels = balanced(3)
    folds = folds_of(labels, tuple(range(ROWS)), 0)
    mixed = np.asarray(shuffled(labels, folds, 0))
    assert (mixed != np.asarray(labels)).any()
    for fold in folds:
        assert (np.bincount(mixed[fold.asked]) == np.bincount(np.asarray(labels)[fold.asked])).all()
