"""A study that was preregistered names its file, and the file is older than its runs and says what it said then."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
FILES = sorted(path for path in (ROOT / "docs" / "preregistration").glob("*.md") if path.stem != "index")
PARTS = ("Hypothesis", "Pilot", "Primary measure", "Rule", "What would make us stop", "Cost")


def git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def faults(root: Path, file: str, runs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Why the runs are not those of the preregistration in `file`: sentences. Raises no error for a run that lacks
    what would show it; that is a fault too."""
    added = (git(root, "log", "--diff-filter=A", "--format=%H %cI", "--", file) or "").splitlines()
    if not added:
        return [f"{file} is not committed"]
    first, _, when = added[-1].partition(" ")
    found = []
    for run in runs:
        name = f"{run['arm']}/{run['seed']}"
        if not run.get("commit") or not run.get("measured"):
            found.append(f"{name} has no commit or no time")
            continue
        commit = run["commit"][:40]
        is_known = git(root, "cat-file", "-e", f"{commit}^{{commit}}") is not None
        if is_known and git(root, "merge-base", "--is-ancestor", first, commit) is None:
            found.append(f"{name} was made by a commit without {file}")
        elif is_known and not (root / file).read_text().startswith(git(root, "show", f"{commit}:{file}") or ""):
            found.append(f"{file} was changed after {name}; only add to its end")
        if datetime.fromisoformat(run["measured"]) < datetime.fromisoformat(when):
            found.append(f"{name} is older than {file}")
    return found


def published() -> list[tuple[Path, dict[str, Any]]]:
    found = [(path.parent, json.loads(path.read_text())) for path in (ROOT / "docs" / "results").glob("*/study.json")]
    return [(folder, about) for folder, about in found if about["study"].get("preregistration")]


def test_every_file_says_what_is_decided_and_how() -> None:
    assert FILES
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        missing = [part for part in PARTS if not re.search(rf"(\*\*|## ){part}", text)]
        assert not missing, path.name
        assert f"[{path.stem}]({path.name})" in (path.parent / "index.md").read_text(encoding="utf-8")


def test_a_recipe_names_a_file_that_is_there() -> None:
    for path in (ROOT / "recipes" / "study").glob("*.yaml"):
        for name in re.findall(r"^preregistration: (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert (ROOT / "docs" / "preregistration" / f"{name}.md").exists(), path.name


def test_every_section_of_a_preregistered_experiment_links_its_file() -> None:
    for page in (*(ROOT / "docs").glob("results*.md"), *(ROOT / "docs" / "results").glob("*.md")):
        for section in re.split(r"^(?=#)", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
            head = section.partition("\n")[0]
            for path in FILES:
                name = path.stem.replace("_", "('s)? ")
                if re.match(rf"#+ .*\b{name}\b", head, re.IGNORECASE):
                    assert f"preregistration/{path.name}" in section, f"{page.name}: {head}"


def test_published_runs_are_younger_than_their_preregistration() -> None:
    if git(ROOT, "rev-parse", "HEAD") is None:
        pytest.skip("no git checkout: the age of a preregistration cannot be told")
    for folder, about in published():
        file = f"docs/preregistration/{about['study']['preregistration']}.md"
        assert f"](../preregistration/{Path(file).name})" in folder.with_suffix(".md").read_text(encoding="utf-8")
        runs = [json.loads(path.read_text()) for path in folder.glob("*.json") if path.name != "study.json"]
        runs += [
            one | {"arm": run["arm"], "seed": run["seed"]} for run in runs for one in run.get("readers", {}).values()
        ]
        assert not faults(ROOT, file, runs)


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, str, str]:
    """A repository with a commit before the file and one that adds it."""
    author = ("-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    if git(tmp_path, "init", "-q") is None:
        pytest.skip("no git")
    commits = []
    for name in ("code.py", "e1.md"):
        (tmp_path / name).write_text("What is decided.\n")
        git(tmp_path, "add", name)
        git(tmp_path, *author, "commit", "-qm", name)
        commits.append(git(tmp_path, "rev-parse", "HEAD") or "")
    return tmp_path, commits[0], commits[1]


@pytest.mark.parametrize(
    ("commit", "measured", "why"),
    [
        ("after", "2999-01-01T00:00:00Z", None),
        ("before", "2999-01-01T00:00:00Z", "without e1.md"),
        ("after", "2001-01-01T00:00:00Z", "is older than e1.md"),
        (None, "2999-01-01T00:00:00Z", "has no commit"),
    ],
)
def test_a_run_that_came_first_is_told(
    repository: tuple[Path, str, str], commit: str | None, measured: str, why: str | None
) -> None:
    root, before, after = repository
    known = {"before": before, "after": f"{after}+changes", None: None}[commit]
    found = faults(root, "e1.md", [{"arm": "grpo", "seed": 10, "commit": known, "measured": measured}])
    assert found == [] if why is None else why in found[0]


def test_what_was_decided_is_added_at_the_end_and_the_rest_stays(repository: tuple[Path, str, str]) -> None:
    root, _, after = repository
    run = {"arm": "grpo", "seed": 10, "commit": after, "measured": "2999-01-01T00:00:00Z"}
    (root / "e1.md").write_text("What is decided.\n\nDecided: yes.\n")
    assert faults(root, "e1.md", [run]) == []
    (root / "e1.md").write_text("What was easier.\n")
    assert "was changed after grpo/10" in faults(root, "e1.md", [run])[0]


def test_a_file_that_is_not_committed_is_told(repository: tuple[Path, str, str]) -> None:
    (repository[0] / "e4.md").write_text("")
    assert faults(repository[0], "e4.md", []) == ["e4.md is not committed"]
