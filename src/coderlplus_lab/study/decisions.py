"""The rules of docs/preregistration as code: what a study decides, or what is missing. Each rule has a file of its own
and is a function of spreads; `rules.Numbers` finds them in raw numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from coderlplus_lab.study.rule_e1 import e1
from coderlplus_lab.study.rule_e4 import e4
from coderlplus_lab.study.rules import Decision, Numbers
from coderlplus_lab.study.selection import Chosen
from coderlplus_lab.study.settings import Study

RULES: Mapping[str, Callable[[Numbers], Decision]] = {"e1": e1, "e4": e4}
"""File of docs/preregistration → its rule."""


def decide(
    study: Study,
    runs: Mapping[str, Mapping[int, Mapping[str, Any]]],
    selections: Mapping[str, Mapping[int, Chosen]],
    families: Mapping[str, Any],
) -> Decision | None:
    """What a preregistered study decides; `None` where its file has no rule here. `runs` are raw numbers, `selections`
    values (`selection.chosen`), both by arm and seed; `families` as in `raw.families_in`. Without a run that a rule
    asks for, in every registered seed, nothing is decided, unless the first three seeds end the study."""
    rule = RULES.get(study.preregistration)
    return None if rule is None else rule(Numbers(study, runs, selections, families))
