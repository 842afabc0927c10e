"""What a statement says about the answer: whether the order of its items counts, and the case of its letters.

Only sentences about the answer count. "The input is given in any order" and "the largest number formed from the digits in any order" say
nothing about it.
"""

from __future__ import annotations

import re

_ORDER = r"in\s+any\s+(?:arbitrary\s+)?order\b"
_ASKED = re.compile(rf"\breturn(?:s|ed|ing)?\b(?P<what>[^.;:\n]*?)(?P<aside>[,(]?) ?{_ORDER}", re.IGNORECASE)
"""Return … in any order."""
_ALLOWED = re.compile(
    rf"(?P<what>[^.;:\n]*?)\b(?:can|may|could|might|should|will) (?:also )?be (?:returned|printed|output|listed|reported) {_ORDER}", re.IGNORECASE
)
"""… may be returned in any order."""
_OF_ANSWER = re.compile(
    rf"\b(?:returned|answer|output|result)\b[^.;:,\n]{{0,40}}\b(?:can|may|could|might) (?:be|appear|come|have|contain)\b[^.;:\n]{{0,40}}?{_ORDER}",
    re.IGNORECASE,
)
"""The returned list may be in any order."""
_DOES_NOT_MATTER = re.compile(
    r"\border\b[^.;:\n]*?\b(?:output|answer|result|returned|return)\b[^.;:\n]*?"
    r"\b(?:does not|doesn't|do not|don't|is not|isn't) (?:matter|important)\b",
    re.IGNORECASE,
)
_ABOUT_SOMETHING_ELSE = re.compile(
    r"\b(?:by|after|using|when|whenever|if|where|whose|can|could|may|might|must|once|while|until|inputs?)\b"
    r"|\b(?:given|taken|chosen|shown|seen|written|appears?|appearing|comes?|coming|occurs?|\w{2,}ed)\s*$",
    re.IGNORECASE,
)
"""Between `return` and `in any order`: the order is that of something which is done or given."""
_NEGATED = re.compile(r"(?:\b(?:not|never|cannot)|n't) (?:\w+ )?$", re.IGNORECASE)
_INPUT = re.compile(r"\b(?:inputs?|given|queries)\b", re.IGNORECASE)
_ITEMS = re.compile(r"^\W*(?:(?:note|notice|that|all|the|these|you|may|can|return|of) )*(?:integers|indices|indexes|numbers|values)\b", re.IGNORECASE)
"""What the inner lists of a list of lists hold."""
_LIST = re.compile(r"->\s*(?:typing\.)?(?:List|list)\[(?P<nested>\s*(?:typing\.)?(?:List|list)\[)?")
_ANY_CASE = re.compile(r"\b(print|output|write)\b[^.\n]*\bin any case\b|\bin any case \(upper", re.IGNORECASE)


def order(statement: str, starter_code: str) -> str | None:
    """The comparator for results that are lists: `unordered` where the statement says that the answer comes in any order, `unordered_inside` where
    it says so of the items of its lists.

    >>> order("Return the pairs in any order.", "def f() -> List[int]:"), order("Sort them. They are given in any order.", "def f() -> List[int]:")
    ('unordered', None)
    """
    found = _LIST.search(starter_code)
    if found is None:
        return None
    said = _said(statement)
    if said is None:
        return None
    return "unordered_inside" if found["nested"] and _ITEMS.search(said) else "unordered"


def _said(statement: str) -> str | None:
    """What the statement says may come in any order, where that is the answer."""
    for match in _ASKED.finditer(statement):
        if match["what"].strip() == "" and re.search(r"\w", statement[: match.start()]) and match[0][:8].lower() == "returned":
            continue  # "… returned in any order": below
        about_answer = match["aside"] or not _ABOUT_SOMETHING_ELSE.search(match["what"])
        if about_answer and not _NEGATED.search(statement[: match.start()]):
            return match["what"]
    for match in _ALLOWED.finditer(statement):
        if not _INPUT.search(match["what"]):
            return match["what"]
    for pattern in (_OF_ANSWER, _DOES_NOT_MATTER):
        match_ = pattern.search(statement)
        if match_ and not _INPUT.search(match_[0]):
            return ""
    return None


def any_case(statement: str) -> str | None:
    """The comparator for printed words: `case_insensitive` where the statement says that upper and lower case are the same."""
    return "case_insensitive" if _ANY_CASE.search(statement) else None
