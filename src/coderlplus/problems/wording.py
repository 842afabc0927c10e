"""What a statement says about the answer: whether the order of its items and the case of its letters count, and how
exact numbers must be.

Only sentences about the answer count. "The input is given in any order" and "the largest number formed from the digits
in any order" say nothing about it.
"""

from __future__ import annotations

import re

_ORDER = r"in\s+any\s+(?:arbitrary\s+)?order\b"
_ASKED = re.compile(rf"\breturn(?:s|ed|ing)?\b(?P<what>.*?)(?P<aside>[,(]?) ?{_ORDER}", re.IGNORECASE)
"""Return … in any order."""
_ALLOWED = re.compile(
    rf"\b(?:can|may|could|might|should|will) (?:also )?be (?:returned|printed|output|listed|reported) {_ORDER}",
    re.IGNORECASE,
)
"""… may be returned in any order."""
_OF_ANSWER = re.compile(
    r"\b(?:returned|answer|output|result)\b[^,]{0,40}\b(?:can|may|could|might) (?:be|appear|come|have|contain)\b"
    rf".{{0,40}}?{_ORDER}",
    re.IGNORECASE,
)
"""The returned list may be in any order."""
_DOES_NOT_MATTER = re.compile(
    r"\border\b.*?\b(?:output|answer|result|returned|return)\b.*?"
    r"\b(?:does not|doesn't|do not|don't|is not|isn't) (?:matter|important)\b",
    re.IGNORECASE,
)
_BROKEN = re.compile(r"(in|any|arbitrary) ?\n(any|arbitrary|order)")
_SENTENCE_END = re.compile(r"[.;:\n]")
_ABOUT_SOMETHING_ELSE = re.compile(
    r"\b(?:by|after|using|when|whenever|if|where|whose|can|could|may|might|must|once|while|until|inputs?)\b"
    r"|\b(?:given|taken|chosen|shown|seen|written|appears?|appearing|comes?|coming|occurs?|\w{2,}ed)\s*$",
    re.IGNORECASE,
)
"""Between `return` and `in any order`: the order is that of something which is done or given."""
_NEGATED = re.compile(r"(?:\b(?:not|never|cannot)|n't) (?:\w+ )?$", re.IGNORECASE)
_INPUT = re.compile(r"\b(?:inputs?|given|queries)\b", re.IGNORECASE)
_ITEMS = re.compile(
    r"^\W*(?:(?:note|notice|that|all|the|these|you|may|can|return|of) )*(?:integers|indices|indexes|numbers|values)\b",
    re.IGNORECASE,
)
"""What the inner lists of a list of lists hold."""
_LIST = re.compile(r"->\s*(?:typing\.)?(?:List|list)\[(?P<nested>\s*(?:typing\.)?(?:List|list)\[)?")
_ERROR = re.compile(r"\b(?:absolute|relative)\b[^.\n]{0,80}\berror\b|\berror\b[^.\n]{0,80}\b10\s*\^", re.IGNORECASE)
_ANY_CASE = re.compile(r"\b(print|output|write)\b[^.\n]*\bin any case\b|\bin any case \(upper", re.IGNORECASE)


def order(statement: str, starter_code: str) -> str | None:
    """The comparator for results that are lists: `unordered` where the statement says that the answer comes in any
    order, `unordered_inside` where it says so of the items of its lists.

    >>> order("Return the pairs in any order.", "def f() -> List[int]:")
    'unordered'
    >>> order("Sort them. They are given in any order.", "def f() -> List[int]:")
    """
    found = _LIST.search(starter_code)
    if found is None:
        return None
    sentences = _SENTENCE_END.split(_BROKEN.sub(r"\1 \2", statement))
    said = [what for sentence in sentences if "order" in sentence.lower() and (what := _said(sentence)) is not None]
    if not said:
        return None
    return "unordered_inside" if found["nested"] and _ITEMS.search(said[0]) else "unordered"


def _said(sentence: str) -> str | None:
    """What the sentence says may come in any order, where that is the answer."""
    allowed = _ALLOWED.search(sentence)
    if allowed is not None:
        what = sentence[: allowed.start()]
        return None if _INPUT.search(what) else what
    asked = _ASKED.search(sentence)
    if asked is not None:
        is_answer = asked["aside"] or not _ABOUT_SOMETHING_ELSE.search(asked["what"])
        if is_answer and not _NEGATED.search(sentence[: asked.start()]):
            return asked["what"]
    other = _OF_ANSWER.search(sentence) or _DOES_NOT_MATTER.search(sentence)
    return "" if other is not None and not _INPUT.search(other[0]) else None


def any_case(statement: str) -> str | None:
    """The comparator for printed words: `case_insensitive` where the statement says that upper and lower case are the
    same."""
    return "case_insensitive" if _ANY_CASE.search(statement) else None


def allows_error(statement: str) -> bool:
    """Whether printed numbers may differ from the expected ones by a small error.

    >>> allows_error("Your answer is right if its absolute or relative error is at most 10^{-6}.")
    True
    """
    return _ERROR.search(statement) is not None
