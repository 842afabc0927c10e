"""Errors that a user of coderlplus can meet.

Every message is one sentence that names the value, the file and line where there is one, and the way out. A bad
*program* is never an error: it is data, and becomes a `Verdict`. An error means that the caller's input, the caller's
configuration, or the sandbox is broken.
"""

from __future__ import annotations

from collections.abc import Iterable


class CodeRLPlusError(Exception):
    """Base of all errors that coderlplus raises on purpose; the command line prints the message and exits with code 2.

    >>> try:
    ...     raise DataError("problems.jsonl:3: field 'statement' is missing")
    ... except CodeRLPlusError as error:
    ...     print(error)
    problems.jsonl:3: field 'statement' is missing
    """


class ConfigError(CodeRLPlusError, ValueError):
    """A setting is unknown, of the wrong type, or out of range.

    >>> from coderlplus import AlignmentConfig
    >>> AlignmentConfig(max_variables=0)
    Traceback (most recent call last):
    coderlplus.errors.ConfigError: max_variables must be at least 1, not 0
    """


class DataError(CodeRLPlusError, ValueError):
    """A file or record of the caller cannot be used: broken JSON, a missing field, a problem without tests.

    >>> from coderlplus import load_problems
    >>> load_problems("absent.jsonl")
    Traceback (most recent call last):
    coderlplus.errors.DataError: cannot read absent.jsonl: not a file, a folder or a Hub name (owner/name)
    """


class NoTestsError(DataError):
    """A problem without tests: any program would pass.

    >>> issubclass(NoTestsError, DataError)
    True
    """


class SandboxError(CodeRLPlusError, RuntimeError):
    """The sandbox is broken or cannot offer the requested isolation. This is never turned into a reward.

    >>> from coderlplus import Judge, Problem, Rollout, StdioTest, open_sandbox
    >>> with open_sandbox(workers=1) as sandbox:
    ...     judge = Judge(sandbox)
    >>> problem = Problem(problem_id="p", statement="Print 1.", tests=(StdioTest("", "1"),))
    >>> judge.judge(problem, Rollout(rollout_id="r", problem_id="p", program="print(1)"))
    Traceback (most recent call last):
    coderlplus.errors.SandboxError: the sandbox is closed; create a new one
    """


def counted(count: int, thing: str) -> str:
    """
    >>> counted(1, "row"), counted(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def a(word: str) -> str:
    """
    >>> a("int"), a("dict")
    ('an int', 'a dict')
    """
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant, for "did you mean"; `None` where none is near. Case, and `_` for `-`, do not
    count.

    >>> nearest("temprature", ["top_p", "temperature"])
    'temperature'
    """
    import difflib  # not at once: every process of the sandbox reads this file

    known = {_plain(each): each for each in sorted(names)}
    close = difflib.get_close_matches(_plain(name)[:200], known, n=1, cutoff=0.5)
    return known[close[0]] if close else None


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-")
