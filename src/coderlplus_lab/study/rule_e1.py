"""The rule of E1, reading pays at inference (docs/preregistration/e1.md)."""

from __future__ import annotations

from collections.abc import Mapping

from coderlplus_lab.study.differences import BySeed, Spread
from coderlplus_lab.study.rules import Check, Decision, Numbers, above, at_least, below, first_seeds, more_than
from coderlplus_lab.study.selection import LOGPROB, by_reader

GRPO, OURS = "grpo_390", "coderlplus_390"
READERS = ("warm_start", "grpo_kl_390")
"""Who else reads GRPO's programs: the control."""
WEAK = "not done: the warm start predicts less than 30 % of outputs"
FAILED = "not done: the manipulation failed, CodeRL+ does not predict 10 points more outputs than GRPO"
STOPPED = "stopped after three seeds; "


def e1(numbers: Numbers) -> Decision:
    """What E1 decides, or what is missing."""
    own = {arm: numbers.chosen(arm, by_reader(arm)) for arm in (GRPO, OURS)}
    output = {arm: numbers.measured(arm, "output_accuracy") for arm in ("warm_start", GRPO, OURS)}
    logprob, greedy = numbers.chosen(OURS, LOGPROB), numbers.measured(OURS, "pass_at_1_greedy")
    others = {arm: numbers.chosen(GRPO, by_reader(arm)) for arm in READERS}
    if numbers.missing:
        return _stopped(numbers, output) or Decision(missing=tuple(numbers.missing))
    label, base = numbers.label(OURS), numbers.label(GRPO)
    manipulation = _manipulation(numbers, output)
    primary = numbers.minus(own[OURS], own[GRPO])
    over_logprob, over_greedy = (numbers.minus(own[OURS], other) for other in (logprob, greedy))
    controls = {numbers.label(arm): numbers.minus(other, own[OURS]) for arm, other in others.items()}
    checks = [
        *manipulation,
        Check(f"{label} by itself − {base} by itself", primary, "mean ≥ +5, lower bound > 0", _pays(primary)),
        Check(f"{label}: by itself − log-probability", over_logprob, "lower bound > 0", above(over_logprob, 0.0)),
        Check(f"{label}: by itself − greedy decoding", over_greedy, "lower bound > 0", above(over_greedy, 0.0)),
        *(Check(f"{base} by {reader} − {label} by itself", control) for reader, control in controls.items()),
    ]
    start, reading = (check.spread for check in manipulation)
    said = e1_rule(start, reading, primary, over_logprob, over_greedy)
    if said.startswith("not done") or not _pays(primary):
        return Decision((said,), tuple(checks))
    return Decision((*e1_readers(label, base, controls), said, "where examples can be run, run them"), tuple(checks))


def e1_rule(start: Spread, reading: Spread, primary: Spread, over_logprob: Spread, over_greedy: Spread) -> str:
    """What E1's numbers decide: output predicted by the warm start, and by CodeRL+ minus GRPO; own selection of
    CodeRL+ minus that of GRPO, minus its log-probability selection, and minus its greedy decoding."""
    if not at_least(start.mean, 0.30):
        return WEAK
    if not at_least(reading.mean, 0.10):
        return FAILED
    if not _pays(primary):
        return "reading is not usable here"
    rivals = [
        name
        for name, spread in (("log-probability", over_logprob), ("greedy decoding", over_greedy))
        if not above(spread, 0.0)
    ]
    return f"no use beyond {' and '.join(rivals)}" if rivals else "reading is usable"


def e1_readers(label: str, base: str, controls: Mapping[str, Spread]) -> list[str]:
    """What the control says about a gain, which stands before it: reader → what GRPO's programs are worth when it
    reads them, minus what CodeRL+ does alone. The file has no threshold for it: a mean that is not below 0 does as
    well, and one that is, without an interval below 0, is not told from it."""
    as_well = [reader for reader, control in controls.items() if at_least(control.mean, 0.0)]
    open_ = [reader for reader, control in controls.items() if reader not in as_well and not below(control, 0.0)]
    found = []
    if as_well:
        found.append(
            f"the gain is that of having any reader: {base}'s programs read by {' or by '.join(as_well)} do as well "
            f"as {label} alone"
        )
    if open_:
        found.append(
            f"the gain may be that of having any reader: {label} alone is not shown to do better than {base}'s "
            f"programs read by {' or by '.join(open_)}"
        )
    return found


def _stopped(numbers: Numbers, output: Mapping[str, BySeed]) -> Decision | None:
    """What ends the experiment after three seeds: a warm start that does not read, or a manipulation that failed by
    more than half."""
    three = first_seeds(*output.values())
    if three is None:
        return None
    checks = _manipulation(numbers, dict(zip(output, three, strict=True)))
    start, reading = (check.spread.mean for check in checks)
    if not at_least(start, 0.30):
        return Decision((STOPPED + WEAK,), checks)
    return None if more_than(reading, 0.05) else Decision((STOPPED + FAILED,), checks)


def _manipulation(numbers: Numbers, output: Mapping[str, BySeed]) -> tuple[Check, Check]:
    start = numbers.level(output["warm_start"], "output_accuracy")
    reading = numbers.minus(output[OURS], output[GRPO], "output_accuracy")
    label, base = numbers.label(OURS), numbers.label(GRPO)
    return (
        Check("output predicted: warm start", start, "mean ≥ 30", at_least(start.mean, 0.30), level=True),
        Check(f"output predicted: {label} − {base}", reading, "mean ≥ +10", at_least(reading.mean, 0.10)),
    )


def _pays(primary: Spread) -> bool:
    return at_least(primary.mean, 0.05) and above(primary, 0.0)
