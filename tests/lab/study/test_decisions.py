"""The rules of docs/preregistration, each branch on constructed numbers."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from coderlplus.evaluation.intervals import paired_interval
from coderlplus_lab.study.decisions import decide
from coderlplus_lab.study.differences import Spread, spread_of
from coderlplus_lab.study.loading import make_study
from coderlplus_lab.study.raw import GRADIENT, RawStudy
from coderlplus_lab.study.results import study_results
from coderlplus_lab.study.rule_e1 import e1_readers, e1_rule
from coderlplus_lab.study.rule_e4 import e4_cost, e4_rule, e4_tie, e4_weight
from coderlplus_lab.study.rules import Decision
from coderlplus_lab.study.selection import chosen, pack
from coderlplus_lab.study.tables import tables

SEEDS = (10, 11, 12, 13, 14)


def points(mean: float, reach: float = 0.5) -> Spread:
    """A spread of five seeds around a mean, both in points; the interval reaches about 2 · `reach` to each side."""
    return spread_of([(mean + reach * step) / 100 for step in (-1.6, -0.8, 0.0, 0.8, 1.6)])


USABLE: dict[str, Spread] = {
    "start": points(50),
    "reading": points(25),
    "primary": points(9),
    "over_logprob": points(6),
    "over_greedy": points(6),
}


@pytest.mark.parametrize(
    ("change", "decided"),
    [
        ({}, "reading is usable"),
        ({"primary": points(5)}, "reading is usable"),
        ({"primary": points(4.9, 0.1)}, "reading is not usable here"),
        ({"primary": points(9, 9)}, "reading is not usable here"),
        ({"primary": points(-9)}, "reading is not usable here"),
        ({"primary": points(4), "over_logprob": points(-1)}, "reading is not usable here"),
        ({"over_logprob": points(1, 2)}, "no use beyond log-probability"),
        ({"over_greedy": points(-1)}, "no use beyond greedy decoding"),
        ({"over_logprob": points(0), "over_greedy": points(0)}, "no use beyond log-probability and greedy decoding"),
        ({"reading": points(10)}, "reading is usable"),
        ({"reading": points(10, 40)}, "reading is usable"),
        ({"reading": points(9.9)}, "not done: the manipulation failed"),
        ({"reading": points(9.9), "primary": points(-9)}, "not done: the manipulation failed"),
        ({"start": points(30)}, "reading is usable"),
        ({"start": points(29.9)}, "not done: the warm start predicts less than 30 %"),
    ],
)
def test_e1(change: Mapping[str, Spread], decided: str) -> None:
    assert e1_rule(**(USABLE | change)).startswith(decided)


def test_one_seed_decides_nothing_in_favour() -> None:
    assert e1_rule(**(USABLE | {"primary": spread_of([0.09])})) == "reading is not usable here"


@pytest.mark.parametrize(
    ("sampled", "again", "greedy", "output", "decided"),
    [
        (points(-0.3, 0.3), points(0), points(0), points(12), "free"),
        (points(-0.3, 0.3), points(0), points(0), points(10), "free"),
        (points(-0.3, 0.3), points(0), points(0), points(9.9), "undecided"),
        (points(-0.3, 0.5), points(0), points(0), points(12), "undecided"),  # the lower bound is below −1
        (points(2), points(1), points(0.1), points(12), "gain, free"),
        (points(2), points(1), points(0.1), points(2), "gain"),
        (points(2), points(1), points(-0.1), points(12), "free"),
        (points(2), points(-1), points(1), points(2), "undecided"),
        (points(2), points(-1), points(0), points(2), "sharpening"),  # a gain at T = 1 alone
        (points(2), points(-1), points(-1), points(12), "sharpening, free"),
        (points(0.1, 0.5), points(-1), points(-1), points(2), "undecided"),
        (points(-2), points(0), points(0), points(20), "costs"),
        (points(-0.4, 0.1), points(0), points(0), points(20), "free, costs"),
        (points(-0.4, 0.1), points(0), points(0), points(2), "costs"),
        (points(0, 3), points(0), points(0), points(20), "undecided"),
    ],
)
def test_e4(sampled: Spread, again: Spread, greedy: Spread, output: Spread, decided: str) -> None:
    assert e4_rule(sampled, again, greedy, output) == decided


@pytest.mark.parametrize(
    ("last", "chosen_arm"),
    [
        ({"added_01": (0.40, 0.36), "added_03": (0.39, 0.45), "added_1": (0.37, 0.55)}, "added_01"),
        ({"added_01": (0.40, 0.34), "added_03": (0.39, 0.45), "added_1": (0.37, 0.55)}, "added_03"),
        ({"added_01": (0.40, 0.34), "added_03": (0.39, 0.30), "added_1": (0.37, 0.55)}, "added_1"),
        ({"added_01": (0.38, 0.30), "added_03": (0.39, 0.30), "added_1": (0.37, 0.34)}, "added_03"),  # none reads
        ({"added_01": (0.39, 0.35), "added_03": (0.39, 0.40), "added_1": (0.37, 0.50)}, "added_01"),
    ],
)
def test_the_weight_is_the_best_writer_among_those_that_read(
    last: Mapping[str, tuple[float, float]], chosen_arm: str
) -> None:
    assert e4_weight(last, 0.25) == chosen_arm


@pytest.mark.parametrize(
    ("rehearsal", "between", "ties"),
    [
        ("free", points(-3), True),
        ("gain, free", points(5), True),
        ("free, costs", points(0), True),
        ("free", points(-3.1), False),
        ("gain", points(0), False),
        ("undecided", points(5), False),
    ],
)
def test_rehearsal_ties_if_it_is_free_and_reads_as_well(rehearsal: str, between: Spread, ties: bool) -> None:
    assert e4_tie(rehearsal, between).startswith("rehearsal ties:" if ties else "rehearsal does not tie")


@pytest.mark.parametrize(
    ("fewer", "cost", "said"),
    [
        (-2.0, -2.0, "is that of fewer samples"),
        (-1.3, -2.0, "is that of fewer samples"),
        (-2.7, -2.0, "is that of fewer samples"),
        (-1.2, -2.0, "is not that of fewer samples"),
        (-2.8, -2.0, "is not that of fewer samples"),
        (-0.5, 0.1, "no deficit"),
        (0.1, -0.4, "is not that of fewer samples"),  # as near, but not below GRPO
    ],
)
def test_fewer_samples_explain_a_deficit_that_is_as_large(fewer: float, cost: float, said: str) -> None:
    assert said in e4_cost(points(fewer), points(cost))


def digits(share: float, count: int = 1000) -> str:
    """So many ones, spread over the places."""
    ones = round(share * count)
    return "".join("1" if (place * ones) % count < ones else "0" for place in range(count))


def measured(arm: str, seed: int, pass_at_1: float, output: float, **changes: Any) -> dict[str, Any]:
    jitter = (seed - 12) / 10_000
    counts = [int(digit) for digit in digits(pass_at_1 + jitter)]
    last = {"pass_at_1_sampled": pass_at_1, "output_accuracy": output}
    return {
        "arm": arm,
        "seed": seed,
        "training_samples": 1,
        "training_seconds": 1.0,
        "samples": 1,
        "greedy": digits(pass_at_1 + jitter),
        "sampled": counts,
        "sampled_again": counts,
        "claims": [],
        "output": digits(output),
        "all": digits(output),
        "test_output": "",
        "curve": [
            {"step": 0, "samples": 0, "seconds": 0.0, "values": dict.fromkeys(last, 0.5)},
            {"step": 130, "samples": 1, "seconds": 1.0, "values": last},
        ],
        **changes,
    }


def study_of(name: str, arms: Mapping[str, tuple[float, float]], readers: Any = None) -> Any:
    return make_study(
        {
            "name": name,
            "preregistration": name,
            "seeds": SEEDS,
            "world": {},
            "initial_models": {"one": {}},
            "measure": {"temperature": 0.7},
            "arms": {arm: {} for arm in arms},
            "selection": readers and {"samples": 8, "readers": readers},
        }
    )


E4 = {
    "warm_start": (0.20, 0.50),
    "grpo": (0.40, 0.25),
    "grpo_77": (0.38, 0.30),
    "coderlplus": (0.38, 0.45),
    "added_01": (0.42, 0.30),
    "added_03": (0.41, 0.40),
    "added_1": (0.38, 0.50),
    "rehearsal": (0.40, 0.45),
}


def decided_e4(change: Mapping[str, tuple[float, float]], **more: Any) -> Decision:
    arms = E4 | change
    runs = {arm: {seed: measured(arm, seed, *of, **more) for seed in SEEDS} for arm, of in arms.items()}
    decision = decide(study_of("e4", arms), runs, {}, {})
    assert decision is not None
    return decision


def test_e4_is_decided_on_raw_numbers() -> None:
    assert decided_e4({}).decided == (
        "the added arm is added_03, by the validation curve",
        "added_03: gain, free",
        "rehearsal: free",
        "rehearsal ties: what keeps reading is practice with known answers, and RL on tasks is not needed for it",
        "the deficit of CodeRL+ is that of fewer samples of problems",
        "whether added_1 is an arm of alignment by its gradient was not recorded",
    )
    by_what = {check.what: check for check in decided_e4({}).checks}
    assert by_what["pass@1: added_03 − GRPO"].spread.mean == pytest.approx(0.01)
    assert by_what["output predicted: GRPO − warm start"].holds


def test_e4_without_a_fall_of_reading_is_not_done() -> None:
    [said] = decided_e4({"grpo": (0.40, 0.41)}).decided
    assert said.startswith("not done: nothing is there to retain")


def test_e4_an_arm_whose_gradient_is_that_of_alignment_is_called_so() -> None:
    said = {share: decided_e4({}, kinds={GRADIENT: share}).decided[5:] for share in (0.5, 0.51)}
    assert said == {0.5: (), 0.51: ("added_1 is an arm of alignment, not of code, by its gradient",)}
    assert decided_e4({}).decided[-1] == "whether added_1 is an arm of alignment by its gradient was not recorded"


def test_e4_is_not_decided_without_a_run() -> None:
    runs = {arm: {seed: measured(arm, seed, *of) for seed in SEEDS} for arm, of in E4.items()}
    del runs["rehearsal"][13], runs["added_1"][10]["curve"]
    decision = decide(study_of("e4", E4), runs, {}, {})
    assert decision == Decision(missing=("rehearsal/13", "added_1 (curve)/10"))


E1 = {
    "warm_start": (0.2, 0.5),
    "grpo_390": (0.4, 0.25),
    "coderlplus_390": (0.4, 0.45),
    "grpo_kl_390": (0.4, 0.4),
}
READERS = {"grpo_390": ["grpo_390", "warm_start", "grpo_kl_390"], "coderlplus_390": ["coderlplus_390"]}


def selected(seed: int, readers: Mapping[str, float]) -> dict[str, Any]:
    """A raw selection in which a reader finds the one right program of eight in a share of the problems, and otherwise
    keeps a wrong one; log-probability is as good as in four of ten."""
    count = 1000
    made = {"commit": "c", "recipe": "r", "measured": "2999-01-01T00:00:00Z"}

    def ranks(share: float) -> list[list[int]]:
        return [[0, int(digit), 1 - int(digit)] for digit in digits(share + (seed - 12) / 10_000)]

    return {
        **made,
        "arm": "a",
        "seed": seed,
        "samples": 8,
        "tokens": {"prompt": 30.0, "completion": 20.0},
        "which": pack([[0, 1, 2, 0, 0, 0, 0, 0]] * count),
        "logprob": pack([[0, rank[1], rank[2], 0, 0, 0, 0, 0] for rank in ranks(0.4)]),
        "passed": pack([[0, 1, 0]] * count),
        "executed": pack([[0, 3, 0]] * count),
        "readers": {
            arm: made | {"predicted": pack(ranks(share)), "questions": 3 * count, "tokens": {"prompt": 20.0}}
            for arm, share in readers.items()
        },
    }


def raw_e1(own: float) -> RawStudy:
    runs = {arm: {seed: measured(arm, seed, *of) for seed in SEEDS} for arm, of in E1.items()}
    of = {
        "grpo_390": {"grpo_390": 0.42, "warm_start": 0.55, "grpo_kl_390": 0.5},
        "coderlplus_390": {"coderlplus_390": own},
    }
    about = {name: [] for name in ("missing", "search")} | {name: {} for name in ("families", "probes")}
    return RawStudy(
        study=study_of("e1", E1, READERS),
        runs=runs,
        selections={arm: {seed: selected(seed, readers) for seed in SEEDS} for arm, readers in of.items()},
        about=about | {"command": "c", "version": "v", "hours": 1.0, "hardware": "h"},
    )


RUN = "where examples can be run, run them"


@pytest.mark.parametrize(
    ("own", "decided"),
    [
        (0.6, ["reading is usable", RUN]),
        (
            0.52,
            [
                "the gain is that of having any reader: grpo_390's programs read by warm_start do as well as "
                "coderlplus_390 alone",
                "reading is usable",
                RUN,
            ],
        ),
        (0.45, ["reading is not usable here"]),
        (0.3, ["reading is not usable here"]),
    ],
)
def test_e1_is_decided_on_raw_numbers(own: float, decided: list[str]) -> None:
    found = study_results(raw_e1(own))["decision"]
    assert found["decided"] == decided
    controls = {check["what"]: check["spread"]["mean"] for check in found["checks"] if check["holds"] is None}
    assert controls["grpo_390 by warm_start − coderlplus_390 by itself"] == pytest.approx(0.55 - own)


@pytest.mark.parametrize(
    ("control", "said"),
    [
        (
            points(0.2, 2),
            "the gain is that of having any reader: GRPO's programs read by A do as well as CodeRL+ alone",
        ),
        (points(0), "the gain is that of having any reader"),
        (points(-0.2, 2), "the gain may be that of having any reader: CodeRL+ alone is not shown to do better than"),
        (points(-2), None),
    ],
)
def test_a_gain_of_any_reader_is_said_first(control: Spread, said: str | None) -> None:
    found = e1_readers("CodeRL+", "GRPO", {"A": control, "B": points(-9)})
    assert found == [] if said is None else found[0].startswith(said)
    assert "B" not in " ".join(found)


def test_the_page_says_what_is_decided_and_by_which_numbers() -> None:
    page = tables(study_results(raw_e1(0.52)))
    assert "\n- reading is usable\n- where examples can be run, run them\n" in page
    assert re.search(r"\| output predicted: warm start +\| 50\.0 ", page)  # a level has no sign
    assert "coderlplus_390: by itself − log-probability" in page
    assert "mean ≥ +5, lower bound > 0" in page


def test_e1_is_not_decided_without_a_selection() -> None:
    raw = raw_e1(0.52)
    values = {arm: {seed: chosen(one) for seed, one in of.items()} for arm, of in raw.selections.items()}
    del values["coderlplus_390"][11], values["grpo_390"][14]["by_warm_start"]
    decision = decide(raw.study, raw.runs, values, {})
    assert decision is not None
    assert decision.decided == ()
    assert decision.missing == (
        "predictions/coderlplus_390/coderlplus_390/11",
        "programs/coderlplus_390/11",
        "predictions/grpo_390/warm_start/14",
    )
    results = study_results(RawStudy(study=raw.study, runs=raw.runs, selections={}, about=raw.about))
    assert "**Not decided yet.** The rule needs predictions/grpo_390/grpo_390/10," in " ".join(tables(results).split())


@pytest.mark.parametrize(
    ("kept", "output", "said"),
    [
        (3, 0.30, "stopped after three seeds; not done: the manipulation failed"),
        (3, 0.20, "stopped after three seeds; not done: the manipulation failed"),
        (3, 0.31, None),  # above 5 points: the other two seeds are still run
        (2, 0.20, None),
        (5, 0.31, None),
    ],
)
def test_a_failed_manipulation_ends_e1_after_three_seeds(kept: int, output: float, said: str | None) -> None:
    arms = E1 | {"coderlplus_390": (0.4, output)}
    runs = {arm: {seed: measured(arm, seed, *of) for seed in SEEDS[:kept]} for arm, of in arms.items()}
    decision = decide(study_of("e1", arms, READERS), runs, {}, {})
    assert decision is not None
    assert decision.decided == () if said is None else decision.decided[0].startswith(said)
    assert bool(decision.missing) == (said is None)


@pytest.mark.parametrize(("kept", "fall", "is_ended"), [(3, 0.09, True), (3, 0.10, False), (2, 0.09, False)])
def test_a_failed_manipulation_ends_e4_after_three_seeds(kept: int, fall: float, is_ended: bool) -> None:
    arms = E4 | {"grpo": (0.4, 0.5 - fall)}
    runs = {arm: {seed: measured(arm, seed, *of) for seed in SEEDS[:kept]} for arm, of in arms.items()}
    decision = decide(study_of("e4", arms), runs, {}, {})
    assert decision is not None
    assert bool(decision.decided) == is_ended
    if is_ended:
        assert decision.decided[0].startswith("stopped after three seeds; not done: nothing is there to retain")
        assert [check.holds for check in decision.checks] == [False]


@pytest.mark.parametrize("seeds", [(10,), (10, 11, 12), (10, 11, 12, 13, 15)])
def test_a_recipe_with_other_seeds_decides_nothing(seeds: tuple[int, ...]) -> None:
    study = study_of("e4", E4).model_copy(update={"seeds": seeds})
    runs = {arm: {seed: measured(arm, seed, *of) for seed in seeds} for arm, of in E4.items()}
    decision = decide(study, runs, {}, {})
    assert decision is not None
    assert decision.decided == ()
    assert {f"grpo/{seed}" for seed in set(SEEDS) - set(seeds)} <= set(decision.missing)


def test_a_further_seed_changes_nothing() -> None:
    further = (*SEEDS, 15)
    runs = {arm: {seed: measured(arm, seed, *of) for seed in further} for arm, of in E4.items()}
    for of in runs.values():
        of[15] |= {"sampled": [0] * 1000, "output": "0" * 1000}
    assert decide(study_of("e4", E4).model_copy(update={"seeds": further}), runs, {}, {}) == decided_e4({})


def test_the_last_point_of_a_curve_is_that_of_the_last_step() -> None:
    runs = {arm: {seed: measured(arm, seed, *of) for seed in SEEDS} for arm, of in E4.items()}
    runs["added_03"][12]["curve"].pop()
    decision = decide(study_of("e4", E4), runs, {}, {})
    assert decision == Decision(missing=("added_03 (curve)/12",))


def test_outputs_are_predicted_on_tasks_and_their_families() -> None:
    """Tasks can be fewer than problems, and so are their families."""
    runs = {arm: {seed: measured(arm, seed, *of) for seed in SEEDS} for arm, of in E4.items()}
    for of in runs.values():
        for raw in of.values():
            raw["output"] = raw["output"][:990]
    families = {"problems": [place // 4 for place in range(1000)], "tasks": [place // 9 for place in range(990)]}
    decision = decide(study_of("e4", E4), runs, {}, families)
    assert decision is not None
    [output] = [check.spread for check in decision.checks if check.what == "output predicted: added_03 − GRPO"]
    ours, theirs = ([float(digit) for digit in runs[arm][10]["output"]] for arm in ("added_03", "grpo"))
    moved = [one - other for one, other in zip(ours, theirs, strict=True)]
    assert (output.problems_low, output.problems_high) == paired_interval(moved, families["tasks"])


@given(
    st.lists(st.floats(-0.3, 0.3), min_size=5, max_size=5),
    st.lists(st.floats(-0.3, 0.3), min_size=5, max_size=5),
    st.lists(st.floats(-0.3, 0.3), min_size=5, max_size=5),
    st.lists(st.floats(-0.3, 0.3), min_size=5, max_size=5),
)
def test_e4_is_the_text_of_its_file(
    sampled: list[float], again: list[float], greedy: list[float], output: list[float]
) -> None:
    """Against the text: bounds by the formula of Student's t with four degrees of freedom."""
    low, high = (statistics.fmean(sampled) + sign * 2.776 * statistics.stdev(sampled) / 5**0.5 for sign in (-1, 1))
    means = [statistics.fmean(one) for one in (again, greedy, output)]
    edges = (low, low + 0.01, high, *means[:2], means[2] - 0.1)
    assume(all(abs(edge) > 1e-5 for edge in edges))
    said = set()
    if low > -0.01 and means[2] >= 0.10:
        said.add("free")
    if low > 0 and means[0] > 0 and means[1] > 0:
        said.add("gain")
    if low > 0 and means[0] <= 0 and means[1] <= 0:
        said.add("sharpening")
    if high < 0:
        said.add("costs")
    found = e4_rule(*(spread_of(one) for one in (sampled, again, greedy, output)))
    assert set(found.split(", ")) == (said or {"undecided"})


def test_a_study_without_a_rule_here_decides_nothing() -> None:
    assert decide(study_of("e5", {"warm_start": (0.2, 0.5)}), {}, {}, {}) is None
