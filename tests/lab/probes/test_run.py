"""From a model's folder and a file of problems to numbers: what stands in the text, chance, and going on after an
interruption."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coderlplus.errors import CodeRLPlusError
from coderlplus.records import CheckTest, Problem, StdioTest, write_jsonl
from coderlplus_lab.probes import run
from coderlplus_lab.probes.activations import Activations
from coderlplus_lab.probes.run import ProbeSettings, probe
from coderlplus_lab.probes.sources import own_case, read_sources
from coderlplus_lab.world import world

SETTINGS = ProbeSettings(rows=160, prompt="{statement}", max_tokens=4)


def plain(items: Iterable[Any], label: str, total: int) -> Iterator[Any]:
    yield from items


@pytest.fixture(scope="session")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("problems") / "train.jsonl"
    write_jsonl(path, world.draw_problems("train", 120, 0))
    return path


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory, model_folder: Path, problems: Path) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("probes") / "out"
    return folder, probe(folder, {model_folder.name: str(model_folder)}, [problems], SETTINGS, plain)


def test_facts_of_the_text_score_high_everywhere_and_are_not_selective(done: tuple[Path, dict[str, Any]]) -> None:
    facts = done[1]["parts"]["given"]["facts"]
    for key in ("mention/name", "end/name"):
        assert facts[key]["control"]
        one = facts[key]["models"]["tiny"]
        assert one["mean_score"]["mean"] > 0.9
        assert one["tokens"]["mean"] > 0.9
        assert one["untrained_mean"]["mean"] > 0.9
        assert abs(one["mean_selectivity"]["mean"]) < 0.1


def test_shuffled_labels_score_at_chance(done: tuple[Path, dict[str, Any]]) -> None:
    facts = done[1]["parts"]["given"]["facts"].values()
    off = [fact["models"]["tiny"]["shuffled"]["mean"] - fact["chance"] for fact in facts]
    assert abs(sum(off) / len(off)) < 0.04


def test_a_model_that_knows_nothing_knows_no_more_than_an_untrained_one(done: tuple[Path, dict[str, Any]]) -> None:
    found = done[1]["parts"]["given"]["summary"].values()
    selectivity = [over["models"]["tiny"]["selectivity"] for over in found]
    assert len(selectivity) >= 2
    assert all(one["low"] < 0.02 and one["mean"] < 0.05 for one in selectivity)


def test_programs_that_cannot_be_read_are_counted(done: tuple[Path, dict[str, Any]]) -> None:
    part = done[1]["parts"]["own/tiny"]
    assert part["left_out"]["answer truncated at --max-tokens"] > 100
    assert part["facts"] == part["summary"] == {}


def test_the_same_call_again_computes_nothing_and_gives_the_same(
    done: tuple[Path, dict[str, Any]], model_folder: Path, problems: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Activations, "compute", None)
    monkeypatch.setattr(run.linear, "right", None)
    assert probe(done[0], {model_folder.name: str(model_folder)}, [problems], SETTINGS, plain) == done[1]


def test_an_interrupted_run_goes_on_to_the_same_numbers(
    done: tuple[Path, dict[str, Any]], model_folder: Path, problems: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(done[0], folder)
    for name in ("results.json", "results.md"):
        (folder / name).unlink()
    (folder / "activations" / "tiny" / "given" / "00000.npy").unlink()
    lines = (folder / "scores.jsonl").read_text().splitlines(keepends=True)
    (folder / "scores.jsonl").write_text("".join(lines[:-3]) + lines[-3][:20])
    assert probe(folder, {model_folder.name: str(model_folder)}, [problems], SETTINGS, plain) == done[1]
    assert json.loads((folder / "results.json").read_text()) == json.loads((done[0] / "results.json").read_text())


@pytest.mark.parametrize("change", [{"rows": 200}, {"seed": 1}, {"prompt": None}])
def test_another_setting_is_refused(
    done: tuple[Path, dict[str, Any]], model_folder: Path, problems: Path, change: dict[str, Any]
) -> None:
    other = ProbeSettings(**{"rows": 160, "prompt": "{statement}", "max_tokens": 4, **change})
    with pytest.raises(CodeRLPlusError, match=f"holds probes with other {next(iter(change))}"):
        probe(done[0], {model_folder.name: str(model_folder)}, [problems], other, plain)


def test_a_folder_of_something_else_is_refused(model_folder: Path, problems: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CodeRLPlusError, match="is not empty and has no probes"):
        probe(tmp_path, {model_folder.name: str(model_folder)}, [problems], SETTINGS, plain)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_problems_without_an_input_to_show_are_named(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    write_jsonl(
        path, [Problem(problem_id="p", statement="S", tests=(CheckTest("assert f(x) == 1"),), entry_point="f")]
    )
    with pytest.raises(CodeRLPlusError, match="no problem has a first test whose input can be shown"):
        read_sources([path])


def test_the_prompt_shows_the_input_once(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    statements = {"a": "Double it. Input: 21", "b": "Double it."}
    write_jsonl(
        path,
        [
            Problem(problem_id=name, statement=text, tests=(StdioTest("21\n", "42"),))
            for name, text in statements.items()
        ],
    )
    with_input, without = read_sources([path], "{statement}").asked
    assert with_input.prompt == statements["a"]
    assert without.prompt == "Double it.\n\nIt will be run with this standard input:\n21"


def test_a_program_is_found_where_it_stands_in_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    write_jsonl(path, [Problem(problem_id="p", statement="S", tests=(StdioTest("", "1"),))])
    (asked,) = read_sources([path]).asked
    case = own_case(asked, "Sure:\n```python\nx = 1\nprint(x)\n```\nDone.")
    assert not isinstance(case, str)
    assert case.completion[case.program_start :].startswith("x = 1\nprint(x)\n```")
    assert own_case(asked, "I do not know.") == "no program written"
    assert own_case(asked, "```python\nx = 1\ry = 2\n```") == "program not word for word in the completion"
    assert own_case(asked, "  ```python\n  x = 1\n  y = 2\n  ```") == "program not word for word in the completion"
