"""What a world is made of, as data. `world.py` draws problems by it; each world has a file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on a list: ways to say it, its Python (`new`, `old` are variables, `k` a number) and the numbers
    that `k` may be."""

    phrases: tuple[str, ...]
    code: str
    numbers: tuple[int, ...] = (0,)
    stated: str = ""
    """How it is said with its number, `{k}`; empty where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A world. Every problem asks for a function on a list of `length` digits and shows `visible` examples; `hidden`
    ones are further tests."""

    name: str
    operations: Mapping[str, Operation]
    variables: str
    """The variable of each step."""
    sizes: tuple[int, ...]
    """How many operations a program can have."""
    missing: tuple[str, ...] = ()
    """Operations that can be the last one. Its number is the only one that the statement leaves out, and the visible
    examples allow no other. Empty: any operation can be the last, and no number is stated."""
    told_every: int = 1
    """Comments tell every value (1), every second one (2), …, counted back from the one before the last operation."""
    length: int = 4
    visible: int = 3
    hidden: int = 5
