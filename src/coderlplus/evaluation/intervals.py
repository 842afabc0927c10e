"""Intervals for shares, and the paired comparison of two models, over problems: samples of one problem belong
together, and so do the problems of one family (several questions about a program, problems made from one pattern).

`families` names the family of each problem; without it every problem is a family of its own. The 95 % that an interval
promises are then over further families. Formulas only, nothing is drawn at random; standard library only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from coderlplus.evaluation.metrics import Estimate, mean, wilson

Z = 1.959964
_EXACT_BITS = 200_000_000


def clustered(values: Sequence[float], families: Sequence[Hashable] | None = None, *, z: float = Z) -> Estimate:
    """The mean of one value in [0, 1] per problem, with a 95 % Wilson interval at the effective number of trials.

    With p the mean and v its variance (see `_squares`), m = p (1 − p) / v independent trials would be as uncertain,
    and Wilson's interval is taken for m trials (as Korn and Graubard 1998 for surveys). With one sample a problem, and
    no families, m is the number of problems, and this is Wilson's interval. Where v is 0, m is the number of families,
    unequal ones counted as Kish (1965) does.

    >>> clustered([1.0] * 9 + [0.0])
    Estimate(mean=0.9, low=0.5958, high=0.9821)
    >>> clustered([1.0] * 10)
    Estimate(mean=1.0, low=0.7225, high=1.0)
    >>> clustered([1.0] * 10, ["one", "other"] * 5)
    Estimate(mean=1.0, low=0.3424, high=1.0)
    """
    share, size = mean(values), len(values)
    of = range(size) if families is None else families
    variance = _squares(values, of, share) / size**2
    if variance > 1e-15 and len(set(of)) > 1:
        trials = max(1.0, share * (1 - share) / variance)
    else:
        trials = size / _family_size(of)
    return replace(wilson(min(share * trials, trials), trials, z=z), mean=share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """B minus A over the problems of both: means, difference with its 95 % interval, two-sided p-value, on how many
    problems which is better."""

    problems: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    p_value: float
    a_better: int
    b_better: int


def paired(
    a: Mapping[str, Fraction], b: Mapping[str, Fraction], families: Mapping[str, str] | None = None, *, z: float = Z
) -> Difference:
    """Compare two models on the problems in both mappings (problem → share of its samples that pass); `families` names
    the family of a problem, where it has one. Raises `ValueError` if there is no such problem.

    The p-value is that of the exact sign-flip permutation test: under the hypothesis that the names of the models do
    not matter, the sum of each family's differences is as likely with the other sign. With one sample a problem, and
    no families, this is the exact McNemar test. (Where sample counts differ so much that exact counting would take too
    much memory, the normal approximation of the same test is used.)

    The interval is that of `paired_interval`.

    >>> ours = {str(n): Fraction(n < 8) for n in range(10)}
    >>> theirs = {str(n): Fraction(n < 3) for n in range(10)}
    >>> result = paired(theirs, ours)
    >>> result.difference, result.p_value, result.b_better
    (0.5, 0.0625, 5)
    """
    common = [name for name in a if name in b]
    if not common:
        raise ValueError("no problem is in both")
    differences = [b[name] - a[name] for name in common]
    of = [(families or {}).get(name) or (name,) for name in common]
    low, high = paired_interval(differences, of, z=z)
    moved: dict[Hashable, Fraction] = {}
    for family, value in zip(of, differences, strict=True):
        moved[family] = moved.get(family, Fraction(0)) + value
    return Difference(
        problems=len(common),
        a=mean([float(a[name]) for name in common]),
        b=mean([float(b[name]) for name in common]),
        difference=float(sum(differences)) / len(common),
        low=low,
        high=high,
        p_value=sign_flip(list(moved.values())),
        a_better=sum(value < 0 for value in differences),
        b_better=sum(value > 0 for value in differences),
    )


def paired_interval(
    differences: Sequence[Fraction | float], families: Sequence[Hashable] | None = None, *, z: float = Z
) -> tuple[float, float]:
    """The 95 % interval of a mean difference, one value in [-1, 1] per problem: Wald's after adding two problems, half
    a problem each way and one that is level.

    Agresti and Min (2005) show that it holds its level for paired shares where the plain one does not; it is not empty
    when all differences are 0. With families each added problem counts as often as makes it one of the effective
    number of problems: by how much the variance with families exceeds that without (where all are 0, by the size of
    the family that a problem is in on average).

    >>> paired_interval([0.0] * 98)
    (-0.0196, 0.0196)
    """
    of = range(len(differences)) if families is None else families
    values = [float(value) for value in differences]
    average = mean(values)
    alone = _squares(values, range(len(values)), average)
    added = _squares(values, of, average) / alone if alone > 1e-12 else _family_size(of)
    size = len(values) + 2 * added
    centre = float(sum(differences)) / size
    squares = _squares(values, of, centre) + added**2 * (1 + 2 * centre**2)
    spread = z * math.sqrt(squares) / size
    return round(max(-1.0, centre - spread), 4), round(min(1.0, centre + spread), 4)


def _family_size(families: Sequence[Hashable]) -> float:
    """The size of the family that a problem is in on average: 1 where each has its own."""
    return sum(count**2 for count in Counter(families).values()) / len(families)


def _squares(values: Sequence[float], families: Sequence[Hashable], centre: float) -> float:
    """The variance of the sum of the values, which are `centre` on average: the sum of squares around it where each
    problem is a family of its own.

    With families it is the largest of three: that sum; the cluster-robust one, squares of what families deviate in
    sum; and that of a random-effects model (variance between families and within them by the method of moments), which
    knows that one family of many problems tells little. Neither of the others is enough when families are few or
    unequal. Where all values of a family are the same, in every family, each counts once: copies tell nothing.
    """
    groups: dict[Hashable, list[float]] = {}
    for value, family in zip(values, families, strict=True):
        groups.setdefault(family, []).append(value - centre)
    size, count = len(values), len(groups)
    alone = math.fsum(value**2 for group in groups.values() for value in group)
    if count == size:
        return alone
    sums = [(math.fsum(group), len(group)) for group in groups.values()]
    robust = math.fsum(total**2 for total, _ in sums)
    if count == 1:
        return max(alone, robust)
    between = math.fsum(total**2 / members for total, members in sums)
    within = max(0.0, alone - between) / (size - count)
    if within < 1e-12:
        middle = mean([group[0] for group in groups.values()])
        robust = max(robust, math.fsum((group[0] - middle) ** 2 for group in groups.values()) * (size / count) ** 2)
    squared = sum(members**2 for _, members in sums)
    component = max(0.0, between / (count - 1) - within) * (count - 1) / (size - squared / size)
    return max(alone, robust, (component * squared + within * size) * (count - 1) / count)


def sign_flip(differences: Sequence[Fraction]) -> float:
    """The two-sided p-value: the share of all ways to set the signs whose sum is at least as far from 0 as the one
    that was seen.

    The sums of all 2^n ways are counted at once: multiplying out ∏ (1 + x^d) with one big integer as the polynomial,
    `width` bits a coefficient.

    >>> sign_flip([Fraction(1)] * 5 + [Fraction(0)]), sign_flip([Fraction(1, 2), Fraction(-1, 2)])
    (0.0625, 1.0)
    """
    moved = [value for value in differences if value]
    if not moved:
        return 1.0
    scale = math.lcm(*(value.denominator for value in moved))
    sizes = [int(abs(value) * scale) for value in moved]
    seen, total, width = abs(int(sum(moved) * scale)), sum(sizes), len(moved) + 1
    if total * width > _EXACT_BITS:
        return math.erfc(seen / math.sqrt(2 * sum(size * size for size in sizes)))
    counts = 1
    for size in sizes:
        counts += counts << (size * width)
    tail = (total - seen) // 2 + 1  # subsets up to this sum leave the rest at least `seen` ahead
    at_least = _sum_of_digits(counts & ((1 << (tail * width)) - 1), width)
    return min(1.0, float(Fraction(2 * at_least, 1 << len(moved)))) if seen else 1.0


def _sum_of_digits(number: int, width: int) -> int:
    """The sum of the digits of a number in base 2^width."""
    total, mask = 0, (1 << width) - 1
    digits = number.to_bytes((number.bit_length() + 7) // 8 or 1, "little")
    bits = len(digits) * 8
    for start in range(0, bits, width):
        first, last = start // 8, min(len(digits), (start + width + 7) // 8)
        total += (int.from_bytes(digits[first:last], "little") >> (start % 8)) & mask
    return total
