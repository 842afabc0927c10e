"""The chat messages of a prompt."""

from __future__ import annotations

import string

from coderlplus.errors import ConfigError
from coderlplus.programs import only_prepares
from coderlplus.records import AlignmentTask, Problem

PROMPT_FIELDS = ("statement", "starter_code", "entry_point", "setup_code")
"""What a `prompt_template` may name in braces: fields of a `Problem`."""


def conversation(content: str, system_prompt: str | None = None) -> list[dict[str, str]]:
    """The messages of a prompt that says `content`.

    >>> conversation("Print 1.")
    [{'role': 'user', 'content': 'Print 1.'}]
    """
    system = [{"role": "system", "content": system_prompt}] if system_prompt else []
    return [*system, {"role": "user", "content": content}]


def user_message(problem: Problem | AlignmentTask, template: str | None = None) -> str:
    """What the user says to ask for a program: `template` with the fields of the problem put in, or our own wording. A
    task has its prompt.

    >>> from coderlplus.records import StdioTest
    >>> user_message(Problem(problem_id="p", statement="Print 1.", tests=(StdioTest("", "1"),)), "Q: {statement}")
    'Q: Print 1.'
    """
    if isinstance(problem, AlignmentTask):
        return problem.prompt
    if template is not None:
        return template.format(**{name: getattr(problem, name) or "" for name in PROMPT_FIELDS})
    parts = [problem.statement.strip()]
    if problem.setup_code.strip() and not only_prepares(problem.setup_code):
        parts.append(f"This code runs before yours:\n```python\n{problem.setup_code.strip()}\n```")
    if problem.starter_code.strip():
        parts.append(f"Start from this code:\n```python\n{problem.starter_code.rstrip()}\n```")
    if problem.entry_point is None:
        parts.append("The program reads standard input and prints its answer.")
    elif problem.entry_point not in problem.statement + problem.starter_code:
        parts.append(f"Name the function `{problem.entry_point}`.")
    parts.append("Answer with one Python program in a ```python block.")
    return "\n\n".join(parts)


def known_template(value: str | None) -> str | None:
    """The template, if it names only `PROMPT_FIELDS`. Raises `ConfigError`."""
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(value or "") if name is not None]
    except ValueError as error:
        raise ConfigError(
            f"the template {value!r} cannot be read ({error}); write {{{{ and }}}} for braces that name no field"
        ) from None
    for name in names:
        if name not in PROMPT_FIELDS:
            raise ConfigError(
                f"unknown field {{{name}}}; a template may use {', '.join(f'{{{field}}}' for field in PROMPT_FIELDS)}"
            )
    return value
