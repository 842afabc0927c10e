"""Which text of a completion is its program.

Departure from the paper: it does not say how a program is taken from a completion; the rules are those of
`extract_program`.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from coderlplus.programs import blocks
from coderlplus.programs.answer import answers_of, other_readings
from coderlplus.programs.names import defines, is_program, names_bound, names_read, stands_alone, without_run_on
from coderlplus.programs.syntax import MAX_PROGRAM_CHARS, parse, syntax_error

_MAX_PARSES = 96
_MAX_PARSED_CHARS = 4 * MAX_PROGRAM_CHARS
_MAX_STARTS = 16
_MAX_CUTS = 8
_ODD_SPACES = dict.fromkeys([0xA0, 0x202F, 0x205F, 0x3000, *range(0x2000, 0x200B)], " ")
_ODD_SPACES |= dict.fromkeys([0x200B, 0x2060, 0xFEFF], "")
_CODE_LINE = re.compile(
    r"(?:from|import|def|class|async|if|for|while|try|with|print)\b|@\w|[#\"'(\[]"
    r"|[A-Za-z_][\w.,\[\]: ]{0,80}=|[A-Za-z_][\w.]{0,80}\("
)
"""What the first line of a program looks like."""


def extract_program(completion: str, entry_point: str | None = None, *, starter_code: str = "") -> str | None:
    """The program in a completion, or `None` if there is none.

    1. *The answer.* Reasoning (`<think>…</think>` and the like, before or after) is left out, and so is everything
       from an end-of-turn token on.
    2. *Candidates.* Each block between fences or tags is one, wherever its marks stand on their lines; so is text
       before the first mark or after the last, and a text without marks: from its first line of code to the last one
       with which it still parses. A block is taken without the indentation of its first line and the `>` of a
       quotation; if it does not parse, its no-break and zero-width spaces are read as the spaces they look like.
    3. *Choice.* A candidate that does the job goes before all others. With an `entry_point` (`"f"` or
       `"Solution().f"`) it defines that function, or a class with that method. Without one it is a program that runs
       by itself: it does something, and every name that it reads is its own. Among equals: what stands in `<answer>`,
       what is labelled as Python, what parses, what was closed, the last. A block of another language is a candidate
       only if it defines the entry point.
    4. *Pieces.* Names that the chosen block reads and only other blocks define bring those blocks with them.
    5. *Continuations.* Where nothing defines the entry point, or the text begins with an indented line, `starter_code`
       followed by the text may be the program: the function, and the definitions and imports after it up to the first
       statement that is none.

    6. *Other ways of writing.* Where nothing is found that parses, a program that does the job is looked for in JSON
       strings, in HTML, between quotation marks as fences, behind the prompts of the interpreter, and in
       indented blocks.

    Text of a closed fence that does not parse is the program where there is nothing better, so that its syntax error
    is found. A program of more than `MAX_PROGRAM_CHARS` characters is none. The time is linear in the text: at most
    the last 64 blocks are read, and a few hundred thousand characters are parsed. No text makes this raise.

    >>> extract_program("The sum:\\n```python\\nprint(1 + 2)\\n```\\nDone.")
    'print(1 + 2)'
    >>> extract_program("```python\\ndef f(x): return x\\n```\\nFor example:\\n```python\\nprint(f(2))\\n```", "f")
    'def f(x): return x'
    >>> extract_program("I do not know.") is None
    True
    """
    first: str | None = None
    for answer in answers_of(completion):
        program = _Search(entry_point, starter_code).program_in(answer)
        if program is not None and syntax_error(program) is None:
            return program
        for reading in other_readings(answer):
            search = _Search(entry_point, starter_code)
            other = search.program_in(reading)
            if other is not None and search.is_solution(other):
                return other
        first = first if first is not None else program
    return first


@dataclass(frozen=True, slots=True)
class _Candidate:
    text: str
    tree: ast.Module | None
    """`None` for text that is no program."""
    does_the_job: bool
    rank: int
    closed: bool

    @property
    def order(self) -> tuple[bool, int, bool, bool]:
        return self.does_the_job, self.rank, self.tree is not None, self.closed


class _Search:
    """One search with its budget of parsing; when that is spent, nothing parses any more."""

    def __init__(self, entry_point: str | None, starter_code: str) -> None:
        self._entry = entry_point
        self._starter = starter_code if entry_point is not None else ""
        self._parses = _MAX_PARSES
        self._chars = _MAX_PARSED_CHARS

    def program_in(self, text: str) -> str | None:
        lead, may_close = blocks.text_before_blocks(text)
        if _is_indented(lead) and (program := self._continued(lead)) is not None:
            return program
        candidates, raw = self._candidates(text, lead, may_close)
        best = max(range(len(candidates)), key=lambda index: (candidates[index].order, index), default=None)
        if best is None or not candidates[best].does_the_job:
            for part in (lead, *raw):
                if (program := self._continued(part)) is not None:
                    return program
        return None if best is None else _with_pieces(candidates, best).strip("\n") or None

    def _candidates(self, text: str, lead: str, may_close: bool) -> tuple[list[_Candidate], list[str]]:
        """The candidates of a text in order, and what stands in its last blocks as it is."""
        if len(lead) == len(text) or _CODE_LINE.match(lead.lstrip("\n")):
            whole = self._candidate(text, blocks.PLAIN, closed=True)
            if whole is not None and whole.tree is not None:
                return [whole], []
        run = self._run(lead)
        closes = may_close and run is not None and lead.rstrip().endswith(run.text.rstrip())
        found = blocks.blocks_in(text, lambda part: self._tree(part) is not None, first_mark_closes=closes)
        read = [self._best_reading(block) for block in reversed(found)]
        candidates = [candidate for candidate in reversed(read) if candidate is not None]
        if run is not None and (run.does_the_job or closes or not found):
            candidates.insert(0, run)
        if found and not any(candidate.does_the_job for candidate in candidates):
            after = self._run(blocks.text_after_blocks(text))
            if after is not None and after.does_the_job:
                candidates.append(after)
        return candidates, [block.raw for block in reversed(found[-2:])]

    def _best_reading(self, block: blocks.Block) -> _Candidate | None:
        """What a block holds; `None` where that can be no program."""
        best: _Candidate | None = None
        for reading in block.readings:
            candidate = self._candidate(reading, block.rank, closed=block.closed)
            if candidate is not None and (best is None or candidate.order > best.order):
                best = candidate
            if best is not None and best.does_the_job:
                return best
        if not block.closed and (best is None or best.tree is None):
            cut = None if self._entry is None else self._run(block.readings[0])
            return cut if cut is not None and cut.does_the_job else None
        return best if block.rank != blocks.OTHER else None

    def _candidate(self, text: str, rank: int, *, closed: bool) -> _Candidate | None:
        if not text.strip() or len(text) > MAX_PROGRAM_CHARS:
            return None
        tree = self._tree(text)
        if tree is None and (usual := text.translate(_ODD_SPACES)) != text and (tree := self._tree(usual)) is not None:
            text = usual
        if tree is None or not is_program(tree):
            return _Candidate(text, None, False, rank, closed)
        return _Candidate(text, tree, self._does_the_job(tree), rank, closed)

    def is_solution(self, program: str) -> bool:
        tree = self._tree(program)
        return tree is not None and self._does_the_job(tree)

    def _does_the_job(self, tree: ast.Module) -> bool:
        return stands_alone(tree) if self._entry is None else defines(tree, self._entry)

    def _run(self, text: str) -> _Candidate | None:
        """The first run of lines in a text that is a program and does the job, else the first that is a program."""
        lines = text.split("\n")
        first: _Candidate | None = None
        start = 0
        for _ in range(_MAX_STARTS):
            while start < len(lines) and not _CODE_LINE.match(lines[start]):
                start += 1
            if start == len(lines):
                break
            stop, tree = self._cut(lines, start)
            if tree is not None and is_program(tree):
                text = "\n".join(lines[start:stop])
                run = _Candidate(text, tree, self._does_the_job(tree), blocks.PLAIN, closed=False)
                if run.does_the_job:
                    return run
                first = first or run
            start = max(stop, start + 1)
        return first

    def _cut(self, lines: list[str], start: int) -> tuple[int, ast.Module | None]:
        """Where the text from a line on ends to parse, and its tree. What does not parse is cut off from the beginning
        of its statement on, a few times at most."""
        stop = len(lines)
        for _ in range(_MAX_CUTS):
            parsed = self._parsed("\n".join(lines[start:stop]))
            if isinstance(parsed, ast.Module):
                return stop, parsed
            stop = min(stop - 1, start + (parsed.lineno or 1) - 1)
            while stop > start and (not lines[stop].strip() or lines[stop][0] in " \t)]}"):
                stop -= 1
            if stop <= start:
                break
        return start, None

    def _continued(self, text: str) -> str | None:
        """The program that consists of the starter code and a continuation."""
        assert self._entry is not None or not self._starter
        if self._entry is None or not self._starter.strip() or not text.strip():
            return None
        first_line = self._starter.count("\n") + 1
        other = "\n" if not self._starter.endswith("\n") else "" if _is_indented(text) else "    "
        for joint in dict.fromkeys(["", other]):
            lines = f"{self._starter}{joint}{text}".split("\n")
            stop, tree = self._cut(lines, 0)
            if tree is None or (joint == "    " and not any(isinstance(node, ast.Return) for node in ast.walk(tree))):
                continue  # a line that we indent must be of a function's body
            program = without_run_on("\n".join(lines[:stop]), tree, self._entry, first_line)
            if program is not None and len(program) <= MAX_PROGRAM_CHARS:
                return program
        return None

    def _tree(self, text: str) -> ast.Module | None:
        parsed = self._parsed(text)
        return parsed if isinstance(parsed, ast.Module) else None

    def _parsed(self, text: str) -> ast.Module | SyntaxError:
        if len(text) <= MAX_PROGRAM_CHARS:  # a longer one is refused unseen
            self._parses -= 1
            self._chars -= len(text)
        if self._parses < 0 or self._chars < 0:
            return SyntaxError("not read: the text has too many candidates")
        try:
            return parse(text)
        except SyntaxError as error:
            return error


def _with_pieces(candidates: list[_Candidate], best: int) -> str:
    """The text of a candidate after the texts of those that define what it reads and does not define."""
    chosen = candidates[best]
    if chosen.tree is None:
        return chosen.text
    trees = [None if each.rank == blocks.OTHER else each.tree for each in candidates]
    bound = [set() if tree is None else names_bound(tree) for tree in trees]
    pieces: set[int] = set()
    wanted = [(best, name) for name in names_read(chosen.tree)]
    while wanted:
        reader, name = wanted.pop()
        order = [*range(reader - 1, -1, -1), *range(reader + 1, len(candidates))]
        piece = next((index for index in order if name in bound[index] and index != best), None)
        tree = None if piece is None else candidates[piece].tree
        if piece is not None and tree is not None and piece not in pieces:
            pieces.add(piece)
            wanted += [(piece, other) for other in names_read(tree)]
    together = "\n".join(candidates[index].text.strip("\n") for index in [*sorted(pieces), best])
    return together if len(together) <= MAX_PROGRAM_CHARS else chosen.text


def _is_indented(text: str) -> bool:
    """Whether the first line that is not blank begins with a space."""
    return text[: len(text) - len(text.lstrip())].rpartition("\n")[2] != ""
