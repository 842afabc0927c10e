"""README.md: its form, and every Python snippet runs (the one with TRL in tests/engines/test_trl_alignment.py)."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import coderlplus

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_it_fits_on_two_screens() -> None:
    lines = README.splitlines()
    assert len(lines) <= 120
    assert max(map(len, lines)) <= 119


def test_lines_of_the_docs_fit_but_for_the_rows_of_tables() -> None:
    """A row of a table cannot be broken in Markdown."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    long = [
        f"{page.relative_to(ROOT)}:{number}"
        for page in pages
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 119 and not line.lstrip().startswith("|")
    ]
    assert long == []


def test_what_it_links_to_and_names_exists() -> None:
    for target in re.findall(r"\]\(([^)#]+)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
    tree = README.partition("## Where things are")[2].split("```")[1]
    library = Path(coderlplus.__file__).parent
    packages = {path.name for path in library.iterdir() if (path / "__init__.py").exists()}
    named = set(re.findall(r"(?:^| )(?: )(\w+)/", tree, re.MULTILINE)) | set(re.findall(r"(\w+)/", tree))
    assert packages <= named
    for name in named - packages - {"src", "coderlplus", "coderlplus_lab"}:
        assert (ROOT / name).is_dir(), name


def test_snippets_do_what_their_comments_say() -> None:
    """Each line that prints says in a comment what."""
    ran = 0
    for snippet in SNIPPETS:
        if "import GRPOConfig" in snippet:
            continue
        ran += 1
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(snippet, "README.md", "exec"), {})
        said = [line.partition("  # ")[2] for line in snippet.splitlines() if line.startswith("print(")]
        assert out.getvalue().splitlines() == said
    assert ran == 1
    assert len(SNIPPETS) == 2
