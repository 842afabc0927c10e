"""The rules of docs/preregistration as code: what a study decides, or what is missing. Percentages there are shares
here; a bound is that of the interval over seeds. Each rule is a function of spreads; `decide` finds them in raw
numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from coderlplus.evaluation.metrics import mean
from coderlplus_lab.study.differences import BySeed, Spread, difference, mean_over_seeds
from coderlplus_lab.study.measures import values
from coderlplus_lab.study.selection import LOGPROB, Chosen, at, by_reader
from coderlplus_lab.study.settings import Measured, Study

EXACT = 6
"""Digits to which numbers are compared with a threshold, so that a mean of .05 is not below it by its last bit."""
ADDED = ("added_01", "added_03", "added_1")
"""E4's arms with alignment as a term of its own, by their weight."""
GRADIENT = "gradient_norm/alignment above generation"
"""The share of the recorded steps in which the gradient of alignment was the larger."""


@dataclass(frozen=True, slots=True)
class Check:
    """A number that a rule asks for: what it is, its spread, what is asked of it (empty: nothing, it is told beside
    the decision), and whether it holds."""

    what: str
    spread: Spread
    asked: str = ""
    holds: bool | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Sentences with what is `decided`, or keys of what is `missing`."""

    decided: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    missing: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Numbers:
    """The raw numbers of a study as values by seed; what is asked for and not there is noted in `missing`."""

    def __init__(
        self,
        study: Study,
        runs: Mapping[str, Mapping[int, Mapping[str, Any]]],
        selections: Mapping[str, Mapping[int, Chosen]],
        families: Sequence[int] | None,
    ) -> None:
        self._study, self._runs, self._selections, self._families = study, runs, selections, families
        self.missing: dict[str, None] = {}

    def label(self, arm: str) -> str:
        return self._study.label(arm)

    def measured(self, arm: str, name: Measured) -> BySeed:
        found = {seed: numbers for seed, raw in self._of(arm).items() if (numbers := values(raw).get(name))}
        self._note(found, arm)
        return found

    def chosen(self, writer: str, selector: str) -> BySeed:
        """What a selector is worth for the programs of an arm."""
        found = at(self._selections.get(writer, {}), selector)
        reader = selector.removeprefix(by_reader(""))
        job = f"programs/{writer}" if reader == selector else f"predictions/{writer}/{reader}"
        self._note(found, job)
        return {seed: found[seed] for seed in self._study.seeds if seed in found}

    def last_point(self, arm: str, name: str) -> BySeed:
        """The last point of the curve on the validation split: one number a seed."""
        curves = {seed: raw.get("curve") or [] for seed, raw in self._of(arm).items()}
        found = {seed: [curve[-1]["values"][name]] for seed, curve in curves.items() if curve}
        self._note(found, f"{arm} (curve)")
        return found

    def recorded(self, arm: str, name: str) -> Spread | None:
        """A mean over the steps of a run, where all seeds have it."""
        found = [raw.get("kinds", {}).get(name) for raw in self._of(arm).values()]
        known = [[value] for value in found if value is not None]
        return mean_over_seeds(dict(enumerate(known))) if known and len(known) == len(found) else None

    def minus(self, ours: BySeed, theirs: BySeed) -> Spread | None:
        return difference(ours, theirs, self._families)

    def _of(self, arm: str) -> dict[int, Mapping[str, Any]]:
        runs = self._runs.get(arm, {})
        return {seed: runs[seed] for seed in self._study.seeds if seed in runs}

    def _note(self, found: Mapping[int, Any], name: str) -> None:
        self.missing |= dict.fromkeys(f"{name}/{seed}" for seed in self._study.seeds if seed not in found)


def decide(
    study: Study,
    runs: Mapping[str, Mapping[int, Mapping[str, Any]]],
    selections: Mapping[str, Mapping[int, Chosen]],
    families: Sequence[int] | None,
) -> Decision | None:
    """What a preregistered study decides; `None` where its file has no rule here. `runs` are raw numbers, `selections`
    values (`selection.chosen`), both by arm and seed; `families` of problems. Without a run that a rule asks for, in
    every seed of the study, nothing is decided."""
    rule = RULES.get(study.preregistration)
    return None if rule is None else rule(Numbers(study, runs, selections, families))


def e1(numbers: Numbers) -> Decision:
    """E1, reading pays at inference."""
    grpo, ours = "grpo_390", "coderlplus_390"
    own = {arm: numbers.chosen(arm, by_reader(arm)) for arm in (grpo, ours)}
    output = {arm: numbers.measured(arm, "output_accuracy") for arm in ("warm_start", grpo, ours)}
    logprob, greedy = numbers.chosen(ours, LOGPROB), numbers.measured(ours, "pass_at_1_greedy")
    others = {arm: numbers.chosen(grpo, by_reader(arm)) for arm in ("warm_start", "grpo_kl_390")}
    if numbers.missing:
        return Decision(missing=tuple(numbers.missing))
    label, base = numbers.label(ours), numbers.label(grpo)
    start = _known(mean_over_seeds(output["warm_start"]))
    reading = _known(numbers.minus(output[ours], output[grpo]))
    primary = _known(numbers.minus(own[ours], own[grpo]))
    over_logprob, over_greedy = (_known(numbers.minus(own[ours], other)) for other in (logprob, greedy))
    checks = [
        Check("output predicted: warm start", start, "mean ≥ 30", _at_least(start.mean, 0.30)),
        Check(f"output predicted: {label} − {base}", reading, "mean ≥ +10", _at_least(reading.mean, 0.10)),
        Check(f"{label} by itself − {base} by itself", primary, "mean ≥ +5, lower bound > 0", _pays(primary)),
        Check(f"{label}: by itself − log-probability", over_logprob, "lower bound > 0", _above(over_logprob, 0.0)),
        Check(f"{label}: by itself − greedy decoding", over_greedy, "lower bound > 0", _above(over_greedy, 0.0)),
        *(
            Check(f"{base} by {numbers.label(arm)} − {label} by itself", _known(numbers.minus(other, own[ours])))
            for arm, other in others.items()
        ),
    ]
    return Decision((e1_rule(start, reading, primary, over_logprob, over_greedy),), tuple(checks))


def e1_rule(start: Spread, reading: Spread, primary: Spread, over_logprob: Spread, over_greedy: Spread) -> str:
    """What E1's numbers decide: output predicted by the warm start, and by CodeRL+ minus GRPO; own selection of
    CodeRL+ minus that of GRPO, minus its log-probability selection, and minus its greedy decoding."""
    if not _at_least(start.mean, 0.30):
        return "not done: the warm start predicts less than 30 % of outputs"
    if not _at_least(reading.mean, 0.10):
        return "not done: the manipulation failed, CodeRL+ does not predict 10 points more outputs than GRPO"
    if not _pays(primary):
        return "reading is not usable here"
    rivals = [
        name
        for name, spread in (("log-probability", over_logprob), ("greedy decoding", over_greedy))
        if not _above(spread, 0.0)
    ]
    return f"no use beyond {' and '.join(rivals)}" if rivals else "reading is usable"


def e4(numbers: Numbers) -> Decision:
    """E4, retention for free."""
    names: tuple[Measured, ...] = ("pass_at_1_sampled", "pass_at_1_again", "pass_at_1_greedy", "output_accuracy")
    arms = ("grpo", "grpo_77", "coderlplus", *ADDED, "rehearsal")
    found = {arm: {name: numbers.measured(arm, name) for name in names} for arm in arms}
    start = numbers.measured("warm_start", "output_accuracy")
    curve = {
        arm: (numbers.last_point(arm, "pass_at_1_sampled"), numbers.last_point(arm, "output_accuracy"))
        for arm in ("grpo", *ADDED)
    }
    if numbers.missing:
        return Decision(missing=tuple(numbers.missing))
    moved = {
        arm: {name: _known(numbers.minus(found[arm][name], found["grpo"][name])) for name in names} for arm in arms
    }
    fall = _known(numbers.minus(found["grpo"]["output_accuracy"], start))
    checks = [Check("output predicted: GRPO − warm start", fall, "mean ≤ −10", _at_least(-fall.mean, 0.10))]
    last = {arm: tuple(mean([one for [one] in side.values()]) for side in sides) for arm, sides in curve.items()}
    added = e4_weight({arm: last[arm] for arm in ADDED}, last["grpo"][1])
    for arm in (added, "rehearsal"):
        checks += _e4_checks(numbers.label(arm), moved[arm])
    between = _known(numbers.minus(found["rehearsal"]["output_accuracy"], found[added]["output_accuracy"]))
    label = numbers.label(added)
    ties = _at_least(between.mean, -0.03)
    checks.append(Check(f"output predicted: rehearsal − {label}", between, "mean ≥ −3", ties))
    fewer, cost = (moved[arm]["pass_at_1_sampled"] for arm in ("grpo_77", "coderlplus"))
    checks += [Check("pass@1: GRPO 77 − GRPO", fewer), Check("pass@1: CodeRL+ − GRPO", cost)]
    above = numbers.recorded("added_1", GRADIENT)
    if above is not None:
        checks.append(Check("steps in which the gradient of alignment is the larger, λ = 1", above, "≤ 50"))
    if not checks[0].holds:
        nothing = "not done: nothing is there to retain, GRPO does not predict 10 points fewer outputs than its start"
        return Decision((nothing,), tuple(checks))
    ends = {arm: e4_rule(*(moved[arm][name] for name in names)) for arm in (added, "rehearsal")}
    decided = [
        f"the added arm is {label}, by the validation curve",
        f"{label}: {ends[added]}",
        f"rehearsal: {ends['rehearsal']}",
        e4_tie(ends["rehearsal"], between),
        e4_cost(fewer, cost),
    ]
    if above is not None and above.mean > 0.5:
        decided.append(f"{numbers.label('added_1')} is an arm of alignment, not of code, by its gradient")
    return Decision(tuple(decided), tuple(checks))


def e4_weight(last: Mapping[str, Sequence[float]], reading_of_grpo: float) -> str:
    """The added arm: of those that predict at least 10 points more outputs than GRPO (of all if none does) the one
    with the highest pass@1, of equal ones the first. `last` has pass@1 and output prediction at the end of the
    validation curve, means over seeds.

    >>> e4_weight({"added_01": (0.40, 0.30), "added_03": (0.38, 0.45), "added_1": (0.37, 0.55)}, 0.25)
    'added_03'
    """
    readers = [arm for arm, (_, reading) in last.items() if _at_least(reading - reading_of_grpo, 0.10)]
    return max(readers or list(last), key=lambda arm: round(last[arm][0], EXACT))


def e4_rule(sampled: Spread, again: Spread, greedy: Spread, output: Spread) -> str:
    """What holds for an arm minus GRPO: pass@1 at T = 1, at T = .7 and greedily, and output predicted."""
    ends = {
        "gain": _above(sampled, 0.0) and again.mean > 0 and greedy.mean > 0,
        "free": _above(sampled, -0.01) and _at_least(output.mean, 0.10),
        "costs": sampled.high is not None and sampled.high < 0,
    }
    return ", ".join(name for name, holds in ends.items() if holds) or "undecided"


def e4_tie(rehearsal: str, between: Spread) -> str:
    """Whether rehearsal ties with RL on tasks: what it is decided to be, and output predicted minus the added arm."""
    if "free" in rehearsal.split(", ") and _at_least(between.mean, -0.03):
        return (
            "rehearsal ties: what keeps reading is practice with known answers, and RL on tasks is not needed for it"
        )
    return "rehearsal does not tie with RL on tasks"


def e4_cost(fewer: Spread, cost: Spread) -> str:
    """Whether fewer samples of problems explain the cost: pass@1 of GRPO 77 and of CodeRL+, each minus GRPO."""
    if cost.mean >= 0:
        return "CodeRL+ has no deficit in pass@1 to explain"
    if _at_least(0.007 - abs(fewer.mean - cost.mean), 0.0):
        return "the deficit of CodeRL+ is that of fewer samples of problems"
    return "the deficit of CodeRL+ is not that of fewer samples of problems"


def _e4_checks(label: str, moved: Mapping[Measured, Spread]) -> list[Check]:
    sampled = moved["pass_at_1_sampled"]
    return [
        Check(f"pass@1: {label} − GRPO", sampled, "lower bound > −1", _above(sampled, -0.01)),
        Check(f"pass@1 at T = .7: {label} − GRPO", moved["pass_at_1_again"]),
        Check(f"pass@1 greedy: {label} − GRPO", moved["pass_at_1_greedy"]),
        Check(
            f"output predicted: {label} − GRPO",
            moved["output_accuracy"],
            "mean ≥ +10",
            _at_least(moved["output_accuracy"].mean, 0.10),
        ),
    ]


def _pays(primary: Spread) -> bool:
    return _at_least(primary.mean, 0.05) and _above(primary, 0.0)


def _above(spread: Spread, bound: float) -> bool:
    """Whether the lower bound over seeds is above `bound`. One seed has no lower bound, so the answer is no."""
    return spread.low is not None and round(spread.low - bound, EXACT) > 0


def _at_least(value: float, least: float) -> bool:
    return round(value - least, EXACT) >= 0


def _known(spread: Spread | None) -> Spread:
    """A spread of numbers that are all there."""
    assert spread is not None
    return spread


RULES: Mapping[str, Callable[[Numbers], Decision]] = {"e1": e1, "e4": e4}
"""File of docs/preregistration → its rule."""
