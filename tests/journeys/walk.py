"""Walk a page of docs/howto as a reader does: write its files, type its commands, compare every word.

A fence with a title is a file. A `console` fence holds commands after `$ ` and what they print, both streams together;
after `# exit code 1` at the end of a command line that code is expected, else 0. In what is printed, `…` stands for
any text within a line, and a line of `…` alone for any number of lines. A command without printed lines may print
anything. A page may also have `python` fences without a title: they are not walked but must compile.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^( *)```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
EXIT_CODE = re.compile(r"  # exit code (\d+)$")


@dataclass(frozen=True)
class File:
    name: str
    text: str


@dataclass(frozen=True)
class Command:
    line: str
    printed: str
    exit_code: int = 0


@dataclass(frozen=True)
class Difference:
    page: Path
    command: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.page}: $ {self.command}\n--- the page\n{self.expected}\n--- printed\n{self.found}"


def steps(page: str) -> Iterator[File | Command]:
    """The files and commands of a page, in order."""
    for indent, language, title, body in FENCE.findall(page):
        text = re.sub(f"^{indent}", "", body, flags=re.MULTILINE)
        if title:
            yield File(title, text)
        elif language == "console":
            yield from _commands(text)
        elif language == "python":
            compile(text, "snippet", "exec")


def _commands(text: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, printed = part.partition("\n")
        while line.endswith("\\"):
            more, _, printed = printed.partition("\n")
            line = line[:-1] + more.strip()
        code = EXIT_CODE.search(line)
        yield Command(EXIT_CODE.sub("", line), printed.rstrip(), int(code[1]) if code else 0)


def agrees(expected: str, found: str) -> bool:
    """Whether a page's text, with `…` for what varies, is what was printed.

    >>> agrees("1 of … passed", "1 of 3 passed"), agrees("a\\n…\\nd", "a\\nb\\nc\\nd"), agrees("a", "a b")
    (True, True, False)
    """
    pattern = "".join(
        r"(?:.*\n)*" if line.strip() == "…" else ".*".join(map(re.escape, line.rstrip().split("…"))) + r"\n"
        for line in expected.strip("\n").split("\n")
    )
    return re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in found.strip("\n").split("\n"))) is not None


def walk(page: Path, folder: Path, environment: Mapping[str, str], timeout_s: float = 600) -> tuple[int, float]:
    """Walk `page` in `folder`: the number of commands and the seconds that they took.

    Raises `AssertionError` with both texts where what is printed, or the exit code, differs from the page."""
    commands, began = 0, time.monotonic()
    for step in steps(page.read_text(encoding="utf-8")):
        if isinstance(step, File):
            (folder / step.name).parent.mkdir(parents=True, exist_ok=True)
            (folder / step.name).write_text(step.text, encoding="utf-8")
            continue
        commands += 1
        done = subprocess.run(
            ["bash", "-c", step.line],
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
        )
        as_said = not step.printed or agrees(step.printed, done.stdout)
        expected = step.printed + (f"\n(exit code {step.exit_code})" if step.exit_code or done.returncode else "")
        found = done.stdout + (f"\n(exit code {done.returncode})" if step.exit_code or done.returncode else "")
        if not as_said or done.returncode != step.exit_code:
            raise AssertionError(Difference(page, step.line, expected, found))
    return commands, time.monotonic() - began
