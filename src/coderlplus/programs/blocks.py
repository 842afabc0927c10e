"""The blocks of code in a text: what stands between fences, or between tags such as `<answer>` and `[PYTHON]`.

Models do not write CommonMark. Here any run of three or more backticks is a mark, wherever it stands on its line and
however long it is, and so is a tag; a block begins at a mark and ends at the next one that is not inside a string or a
comment of the program, labelled or not. A reading that is wrong gives text that is no program, which the choice among
the blocks sorts out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ANSWER, PYTHON, PLAIN, OTHER = 3, 2, 1, 0
"""What the marks of a block say of it: it is Python, nothing, another language; `ANSWER` is added within answer
tags."""

_ANSWER_TAGS = ("answer", "final_answer", "solution")
_MARK = re.compile(
    rf"`{{3,}}|^[ \t>]*+~{{3,}}|</?(?:{'|'.join(_ANSWER_TAGS)}|code|python|program|response)>"
    r"|^[ \t]*+\[(?:PYTHON|CODE|ANSWER|SOLUTION)\]|\[/(?:PYTHON|CODE|ANSWER|SOLUTION)\]",
    re.MULTILINE | re.IGNORECASE,
)
_LABEL = re.compile(r"[ \t]*\{?[ \t]*\.?(?P<label>[A-Za-z][\w+#.:/-]*)?(?P<rest>[^\n]*)")
_PYTHON_LABEL = re.compile(r"py|.*\.py\b|sage\b", re.IGNORECASE)
_PLAIN_LABEL = re.compile(r"(?:te?xt|plain|plaintext|code|source|markdown|md|program|solution|answer)?", re.IGNORECASE)
_QUOTE = re.compile(r"['\"#]")
_LEXEME = re.compile(r"#[^\n]*|'(?:[^'\\\n]|\\.)*+'?|\"(?:[^\"\\\n]|\\.)*+\"?", re.DOTALL)
_TRIPLE = {q * 3: re.compile(rf"{q * 3}(?:[^\\{q}]|\\.|{q}(?!{q * 2}))*+{q * 3}", re.DOTALL) for q in "'\""}
_MAX_FAILURES = 8
_MAX_BLOCKS = 64


@dataclass(frozen=True, slots=True)
class Block:
    """One block. `readings` are texts that it may hold, the likeliest first; `raw` is what stands in it, as it is."""

    readings: tuple[str, ...]
    raw: str
    rank: int
    closed: bool


@dataclass(frozen=True, slots=True)
class _Mark:
    start: int
    end: int
    kind: str
    """`` ` ``, `~` or the name of a tag, in small letters."""
    is_end: bool
    """Whether it is the end of a tag."""
    line_start: int
    line_end: int
    label: str
    code_start: int
    """Where the text after the label begins."""
    is_opening: bool
    """Whether it is surely the beginning of a block: it has a label and nothing else on its line, or Python's."""

    @property
    def is_fence(self) -> bool:
        return self.kind in ("`", "~")


def text_before_blocks(text: str) -> tuple[str, bool]:
    """The text before the first mark, all of it if there is none; and whether that mark may close a block whose
    beginning is not in the text."""
    first = next(_marks(text), None)
    return (text, False) if first is None else (text[: first.start], first.is_end or not first.is_opening)


def text_after_blocks(text: str) -> str:
    """The text after the last mark."""
    return text[max((mark.end for mark in _marks(text)), default=0) :]


def blocks_in(text: str, parses: Callable[[str], bool], *, first_mark_closes: bool = False) -> list[Block]:
    """The last 64 blocks of a text, in order. `parses` is asked where a mark may be part of the program, a few
    times."""
    marks = list(_marks(text))
    tag_ends = _tag_ends(marks)
    spans: list[tuple[_Mark, _Mark | None, bool]] = []
    failures = 0
    answer_until = -1
    index = int(first_mark_closes)
    while index < len(marks):
        mark = marks[index]
        end: int | None
        if mark.is_fence:
            end = _nearest(marks, index)
            if end is not None and failures < _MAX_FAILURES:
                outside = _first_outside_strings(text, marks, index)
                if outside is not None and (outside == end or parses(_readings(text, mark, marks[outside])[0])):
                    end = outside
                else:
                    failures += 1
        else:
            end = None if mark.is_end else tag_ends[index]
            if mark.kind in _ANSWER_TAGS and not mark.is_end:
                answer_until = max(answer_until, len(text) if end is None else marks[end].start)
        if not mark.is_end:
            spans.append((mark, None if end is None else marks[end], mark.start < answer_until))
        # the blocks within a tag are read too, and a mark that ends a block and has a label begins the next
        index = index + 1 if not mark.is_fence or end is None else end + (not marks[end].is_opening)
    return [_block(text, *span) for span in spans[-_MAX_BLOCKS:]]


def _block(text: str, mark: _Mark, end: _Mark | None, is_answer: bool) -> Block:
    readings = _readings(text, mark, end)
    rank = _rank(text, mark, end, readings[0])
    return Block(readings, _raw(text, mark, end), rank + ANSWER * (is_answer and rank != OTHER), end is not None)


def _marks(text: str) -> Iterator[_Mark]:
    line_start, line_end = 0, -1
    for found in _MARK.finditer(text):
        start, end = found.span()
        if start > line_end:
            line_start = text.rfind("\n", max(line_end, 0), start) + 1
            line_end = text.find("\n", start)
            line_end = len(text) if line_end < 0 else line_end
        name = found[0].strip(" \t>" if "~" in found[0] else " \t")
        if name[0] in "`~":
            info = _LABEL.match(text, end, min(line_end, end + 200))
            assert info is not None  # it matches everything
            label = info["label"] or ""
            alone = bool(label) and not info["rest"].strip(" \t}") and text[end] not in " \t"
            is_opening = alone or _PYTHON_LABEL.match(label) is not None
            code_start = info.start("rest")
            yield _Mark(start, end, name[0], False, line_start, line_end, label, code_start, is_opening)
        elif text[max(start - 1, 0) : start] not in ("'", '"') and text[end : end + 1] not in ("'", '"'):
            kind = name.strip("<>[]/").lower()
            yield _Mark(start, end, kind, "/" in name, line_start, line_end, "", end, "/" not in name)


def _tag_ends(marks: list[_Mark]) -> list[int | None]:
    """For each mark the next end of a tag of its kind."""
    ends: list[int | None] = []
    next_end: dict[str, int] = {}
    for index, mark in reversed([*enumerate(marks)]):
        ends.append(next_end.get(mark.kind))
        if mark.is_end:
            next_end[mark.kind] = index
    return ends[::-1]


def _nearest(marks: list[_Mark], index: int) -> int | None:
    return next((k for k in range(index + 1, len(marks)) if _ends(marks[k], marks[index])), None)


def _ends(mark: _Mark, opening: _Mark) -> bool:
    return mark.kind == opening.kind or mark.is_opening if mark.is_fence else mark.is_end


def _first_outside_strings(text: str, marks: list[_Mark], index: int) -> int | None:
    """The first mark after `marks[index]` that may end its block and is not in a string or comment of Python."""
    opening = marks[index]
    position = opening.code_start
    candidate = index + 1
    while candidate < len(marks):
        if marks[candidate].start < position or not _ends(marks[candidate], opening):
            candidate += 1
            continue
        found = _QUOTE.search(text, position, marks[candidate].start)
        if found is None:
            return candidate
        lexeme = (_TRIPLE.get(text[found.start() : found.start() + 3]) or _LEXEME).match(text, found.start())
        if lexeme is None:
            return None
        position = lexeme.end()
    return None


def _raw(text: str, mark: _Mark, end: _Mark | None) -> str:
    stop = len(text) if end is None else end.start
    if not mark.is_fence:
        return text[mark.end : stop]
    if mark.line_end >= stop:
        return text[mark.code_start if _PYTHON_LABEL.match(mark.label) else mark.end : stop]
    if end is not None and not text[end.line_start : stop].strip(" \t>"):
        stop = max(end.line_start - 1, mark.line_end)
    return text[mark.line_end + 1 : stop]


def _readings(text: str, mark: _Mark, end: _Mark | None) -> tuple[str, ...]:
    """Without its first line or, where that says more than a label, with it."""
    raw = _raw(text, mark, end)
    if not mark.is_fence:
        return (_without_margin(raw),)
    if mark.line_end >= (len(text) if end is None else end.start):
        return (raw.strip(),)
    info = text[mark.code_start if _PYTHON_LABEL.match(mark.label) else mark.end : mark.line_end].strip()
    prefix = text[mark.line_start : mark.end].rstrip("`~")
    body = _without_prefix(raw, prefix) if ">" in prefix and not prefix.strip(" \t>") else raw
    return (_without_margin(body), _without_margin(f"{info}\n{body}")) if info else (_without_margin(body),)


def _rank(text: str, mark: _Mark, end: _Mark | None, reading: str) -> int:
    if not mark.is_fence and mark.kind in _ANSWER_TAGS:
        return PLAIN
    if not mark.is_fence or _PYTHON_LABEL.match(mark.label):
        return PYTHON if mark.is_fence or "\n" in reading.strip() else OTHER
    is_inline = mark.line_end >= (len(text) if end is None else end.start)
    return OTHER if is_inline or (mark.is_opening and not _PLAIN_LABEL.fullmatch(mark.label)) else PLAIN


def _without_prefix(text: str, prefix: str) -> str:
    """The lines without the `> ` of a quotation."""
    bare = prefix.rstrip()
    return "\n".join(line.removeprefix(prefix if line.startswith(prefix) else bare) for line in text.split("\n"))


def _without_margin(text: str) -> str:
    """The text without the indentation of its first line."""
    lines = text.split("\n")
    first = next((line for line in lines if line.strip()), "")
    margin = first[: len(first) - len(first.lstrip(" \t"))]
    if not margin:
        return text
    return "\n".join(line[len(margin) :] if line.startswith(margin) else line.lstrip(" \t") for line in lines)
