"""The rule of E4, retention for free (docs/preregistration/e4.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coderlplus.evaluation.metrics import mean
from coderlplus_lab.study.differences import BySeed, Spread
from coderlplus_lab.study.raw import GRADIENT
from coderlplus_lab.study.rules import EXACT, Check, Decision, Numbers, above, at_least, below, first_seeds, more_than
from coderlplus_lab.study.settings import Measured

ADDED = ("added_01", "added_03", "added_1")
"""The arms with alignment as a term of its own, by their weight."""
ARMS = ("grpo", "grpo_77", "coderlplus", *ADDED, "rehearsal")
NAMES: tuple[Measured, ...] = ("pass_at_1_sampled", "pass_at_1_again", "pass_at_1_greedy", "output_accuracy")
NOTHING = "not done: nothing is there to retain, GRPO does not predict 10 points fewer outputs than its start"


def e4(numbers: Numbers) -> Decision:
    """What E4 decides, or what is missing."""
    found = {arm: {name: numbers.measured(arm, name) for name in NAMES} for arm in ARMS}
    start, output = numbers.measured("warm_start", "output_accuracy"), found["grpo"]["output_accuracy"]
    curve = numbers.last_points(("grpo", *ADDED))
    if numbers.missing:
        three = first_seeds(output, start)
        fell = None if three is None else _fall(numbers, *three)
        if fell is None or fell.holds:
            return Decision(missing=tuple(numbers.missing))
        return Decision((f"stopped after three seeds; {NOTHING}",), (fell,))
    moved = {arm: {name: numbers.minus(found[arm][name], found["grpo"][name], name) for name in NAMES} for arm in ARMS}
    last = {
        arm: tuple(mean([point[name] for point in of.values()]) for name in ("pass_at_1_sampled", "output_accuracy"))
        for arm, of in curve.items()
    }
    added = e4_weight({arm: last[arm] for arm in ADDED}, last["grpo"][1])
    label, reads = numbers.label(added), found["rehearsal"]["output_accuracy"]
    between = numbers.minus(reads, found[added]["output_accuracy"], "output_accuracy")
    fewer, cost = (moved[arm]["pass_at_1_sampled"] for arm in ("grpo_77", "coderlplus"))
    gradient = numbers.recorded("added_1", GRADIENT)
    fall = _fall(numbers, output, start)
    checks = [
        fall,
        *_checks(label, moved[added]),
        *_checks(numbers.label("rehearsal"), moved["rehearsal"]),
        Check(f"output predicted: rehearsal − {label}", between, "mean ≥ −3", at_least(between.mean, -0.03)),
        Check("pass@1: GRPO 77 − GRPO", fewer),
        Check("pass@1: CodeRL+ − GRPO", cost),
    ]
    if gradient is not None:
        what = f"share of steps in which the gradient of alignment is the larger: {numbers.label('added_1')}"
        checks.append(Check(what, gradient, "≤ 50", not more_than(gradient.mean, 0.5), level=True))
    if not fall.holds:
        return Decision((NOTHING,), tuple(checks))
    ends = {arm: e4_rule(*(moved[arm][name] for name in NAMES)) for arm in (added, "rehearsal")}
    decided = (
        f"the added arm is {label}, by the validation curve",
        f"{label}: {ends[added]}",
        f"rehearsal: {ends['rehearsal']}",
        e4_tie(ends["rehearsal"], between),
        e4_cost(fewer, cost),
        *e4_gradient(numbers.label("added_1"), gradient),
    )
    return Decision(decided, tuple(checks))


def e4_weight(last: Mapping[str, Sequence[float]], reading_of_grpo: float) -> str:
    """The added arm: of those that predict at least 10 points more outputs than GRPO (of all if none does) the one
    with the highest pass@1, of equal ones the first. `last` has pass@1 and output prediction at the end of the
    validation curve, means over seeds.

    >>> e4_weight({"added_01": (0.40, 0.30), "added_03": (0.38, 0.45), "added_1": (0.37, 0.55)}, 0.25)
    'added_03'
    """
    readers = [arm for arm, (_, reading) in last.items() if at_least(reading - reading_of_grpo, 0.10)]
    return max(readers or list(last), key=lambda arm: round(last[arm][0], EXACT))


def e4_rule(sampled: Spread, again: Spread, greedy: Spread, output: Spread) -> str:
    """What holds for an arm minus GRPO: pass@1 at T = 1, at T = .7 and greedily, and output predicted. A gain at T = 1
    alone is sharpening (docs/preregistration/index.md)."""
    gained = above(sampled, 0.0)
    elsewhere = [more_than(spread.mean, 0.0) for spread in (again, greedy)]
    ends = {
        "gain": gained and all(elsewhere),
        "sharpening": gained and not any(elsewhere),
        "free": above(sampled, -0.01) and at_least(output.mean, 0.10),
        "costs": below(sampled, 0.0),
    }
    return ", ".join(name for name, holds in ends.items() if holds) or "undecided"


def e4_tie(rehearsal: str, between: Spread) -> str:
    """Whether rehearsal ties with RL on tasks: what it is decided to be, and output predicted minus the added arm."""
    if "free" in rehearsal.split(", ") and at_least(between.mean, -0.03):
        return (
            "rehearsal ties: what keeps reading is practice with known answers, and RL on tasks is not needed for it"
        )
    return "rehearsal does not tie with RL on tasks"


def e4_cost(fewer: Spread, cost: Spread) -> str:
    """Whether fewer samples of problems explain the cost: pass@1 of GRPO 77 and of CodeRL+, each minus GRPO. One that
    is not below GRPO is not as far below it."""
    if not more_than(-cost.mean, 0.0):
        return "CodeRL+ has no deficit in pass@1 to explain"
    if more_than(-fewer.mean, 0.0) and at_least(0.007 - abs(fewer.mean - cost.mean), 0.0):
        return "the deficit of CodeRL+ is that of fewer samples of problems"
    return "the deficit of CodeRL+ is not that of fewer samples of problems"


def e4_gradient(label: str, larger: Spread | None) -> list[str]:
    """What the gradient says about the arm with λ = 1: in which share of the steps that of alignment is the larger."""
    if larger is None:
        return [f"whether {label} is an arm of alignment by its gradient was not recorded"]
    return [f"{label} is an arm of alignment, not of code, by its gradient"] if more_than(larger.mean, 0.5) else []


def _fall(numbers: Numbers, output: BySeed, start: BySeed) -> Check:
    """The manipulation check."""
    fall = numbers.minus(output, start, "output_accuracy")
    return Check("output predicted: GRPO − warm start", fall, "mean ≤ −10", at_least(-fall.mean, 0.10))


def _checks(label: str, moved: Mapping[Measured, Spread]) -> list[Check]:
    sampled, output = moved["pass_at_1_sampled"], moved["output_accuracy"]
    return [
        Check(f"pass@1: {label} − GRPO", sampled, "lower bound > −1", above(sampled, -0.01)),
        Check(f"pass@1 at T = .7: {label} − GRPO", moved["pass_at_1_again"]),
        Check(f"pass@1 greedy: {label} − GRPO", moved["pass_at_1_greedy"]),
        Check(f"output predicted: {label} − GRPO", output, "mean ≥ +10", at_least(output.mean, 0.10)),
    ]
