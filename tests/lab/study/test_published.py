"""docs/results: pages and pictures are what the raw files beside them give, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from coderlplus.errors import DataError
from coderlplus.evaluation.metrics import mean
from coderlplus_lab.cli import app
from coderlplus_lab.study.folder import StudyFolder
from coderlplus_lab.study.measures import LABELS
from coderlplus_lab.study.probing import read_probes
from coderlplus_lab.study.raw import GRADIENT, collect, of_measure, read_raw_study
from coderlplus_lab.study.results import study_results
from coderlplus_lab.study.settings import Study
from coderlplus_lab.study.tables import publish, rebuild
from coderlplus_lab.world import world

RESULTS = Path(__file__).parents[3] / "docs" / "results"
LARGEST_MB = 4
CHOSEN = "chosen"
ENDS = ("mean", "low", "high", "problems_low", "problems_high")


def pages(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.is_file()}


def test_every_page_and_picture_is_rebuilt_from_the_raw_files_alone(tmp_path: Path) -> None:
    for folder in RESULTS.iterdir():
        if folder.is_dir():
            shutil.copytree(folder, tmp_path / folder.name)
    rebuild(tmp_path)
    assert pages(tmp_path) == pages(RESULTS)


def test_the_raw_files_stay_small() -> None:
    for folder in RESULTS.iterdir():
        size = sum(path.stat().st_size for path in folder.rglob("*"))
        assert size < LARGEST_MB * 2**20, folder.name


def test_the_families_of_published_studies_are_the_compositions_of_their_world() -> None:
    for path in RESULTS.glob("*/study.json"):
        raw = read_raw_study(path.parent)
        assert raw.study.world is not None
        drawn = world.draw_problems("test", 40, raw.study.world.seed, counts=raw.study.world.operations)
        families = raw.about["families"]
        assert [families["names"][place] for place in families["problems"][:40]] == [one.family for one in drawn]


@pytest.fixture(scope="module")
def numbers() -> dict[tuple[str, str, str, str], dict[str, float]]:
    """(study, arm, the arm it is compared with, measure) → its spread; without a comparison under an empty name.
    Differences of choices are under their label and `CHOSEN`."""
    found = {}
    for path in RESULTS.glob("*/study.json"):
        results = study_results(read_raw_study(path.parent))
        for row in (results["selection"] or {"differences": []})["differences"]:
            found[results["name"], row["label"], "", CHOSEN] = row["spread"]
        for row in results["differences"]:
            for name, spread in row["measures"].items():
                found[results["name"], row["arm"], row["against"], name] = spread
        for row in results["arms"]:
            for name, spread in row["measures"].items():
                found[results["name"], row["name"], "", name] = spread
    return found


SHORT = ("pass_at_1_sampled", "pass_at_1_greedy", "pass_at_k", "output_accuracy")
ROWS = {"Warm start": "warm_start", "GRPO": "grpo", "CodeRL+": "coderlplus", "SFT on references": "references"}
OWN = "CodeRL+ 390: by itself −"
E1 = ("e1", "coderlplus_390", "grpo_390")
SAID = [
    ("results.md", "passes 2.1 points less often", "main", "coderlplus", "grpo", "pass_at_1_sampled"),
    ("results.md", "−3.2 to −1.0", "main", "coderlplus", "grpo", "pass_at_1_sampled"),
    ("results.md", "−3.3 to −0.9", "main", "coderlplus", "grpo", "pass_at_1_sampled"),
    ("results.md", "(0.0, −1.3 to 1.3)", "main", "coderlplus", "grpo", "pass_at_1_greedy"),
    (
        "results.md",
        "17.0 points more outputs than GRPO (8.2 to 25.8)",
        "main",
        "coderlplus",
        "grpo",
        "output_accuracy",
    ),
    ("results.md", "falls 18.4 points", "main", "grpo", "warm_start", "output_accuracy"),
    ("results.md", "1.4 below it (−5.1 to 2.2)", "main", "coderlplus", "warm_start", "output_accuracy"),
    ("results.md", "+2.8 (−2.5 to 8.2)", "generation", "coderlplus", "grpo", "pass_at_k"),
    ("results.md", "+4.3 (1.4 to 7.3)", "generation", "coderlplus_long", "grpo_long", "pass_at_k"),
    ("results.md", "10.5 points in pass@8 (5.6 to 15.4)", "main", "coderlplus", "references", "pass_at_k"),
    ("results.md", "4.2 greedily (1.8 to 6.6)", "main", "coderlplus", "references", "pass_at_1_greedy"),
    ("results.md", "2.3 points more than GRPO in pass@8 (0.9 to 3.7)", "scarce", "coderlplus", "grpo", "pass_at_k"),
    ("results.md", "1.4 *more* than CodeRL+ (−0.1 to 2.9)", "scarce", "coderlplus", "grpo_stopped", "pass_at_k"),
    (
        "results.md",
        "7.7 points more (five seeds, 95 % 5.0 to 10.4; over 171 families of problems 2.9 to 12.2)",
        "e1",
        "CodeRL+ 390 by itself − GRPO 390 by itself",
        "",
        CHOSEN,
    ),
    (
        "results.md",
        "as often as GRPO (+0.1, −0.9 to 1.2)",
        "e1",
        "grpo_kl_390",
        "grpo_390",
        "pass_at_1_sampled",
    ),
    (
        "results.md",
        "2.0 points more often than CodeRL+ (−0.1 to 4.0)",
        "e1",
        "coderlplus_390",
        "grpo_kl_390",
        "pass_at_1_sampled",
    ),
    ("results.md", "2.0 points less often than GRPO (0.7 to 3.2)", "e1", "grpo_232", "grpo_390", "pass_at_1_sampled"),
    ("results.md", "0.1 more often than that (−0.8 to 1.1)", "e1", "coderlplus_390", "grpo_232", "pass_at_1_sampled"),
    (
        "results.md",
        "CodeRL+ 1.8 points more (−0.9 to 4.5)",
        "e1",
        "CodeRL+ 390 by itself − GRPO + KL 390 by itself",
        "",
        CHOSEN,
    ),
    (
        "results.md",
        "3.3 points more than CodeRL+ (−0.2 to 6.8)",
        "e1",
        "rehearsal_390",
        "coderlplus_390",
        "output_accuracy",
    ),
    ("results.md", "as often as GRPO (−0.4, −1.7 to 0.9)", "e1", "rehearsal_390", "grpo_390", "pass_at_1_sampled"),
    (
        "results.md",
        "2.5 points more than CodeRL+ (0.2 to 4.8; over families 1.1 to 3.9)",
        "e1",
        "rehearsal 390 by itself − CodeRL+ 390 by itself",
        "",
        CHOSEN,
    ),
    (
        "results.md",
        "by 1.4 points (0.9 to 1.8; over families 0.0 to 2.7)",
        "e1",
        "rehearsal 390: by Warm start − by itself",
        "",
        CHOSEN,
    ),
    ("results.md", "11.8 points over log-probability (7.1 to 16.4)", "e1", f"{OWN} log-probability", "", CHOSEN),
    ("results.md", "11.9 over greedy decoding (7.1 to 16.7)", "e1", f"{OWN} greedy decoding", "", CHOSEN),
    ("results.md", "41.2 points more outputs than GRPO (35.4 to 47.0)", *E1, "output_accuracy"),
    ("results.md", "1.8 points less often with one sample (−3.5 to −0.2)", *E1, "pass_at_1_sampled"),
    ("results.md", "greedily 1.6 (−4.0 to 0.8)", *E1, "pass_at_1_greedy"),
    ("results.md", "0.0 (−2.6 to 2.7)", *E1, "pass_at_k"),
    ("results.md", "(GRPO 37.2 %, 28.1 to 47.3)", "main", "grpo", "", "pass_at_1_sampled"),
    ("results.md", "(−5.9 to 0.9)", "generation", "code_first", "coderlplus", "pass_at_1_sampled"),
    ("results.md", "(−3.5 to 0.0)", "generation", "coderlplus_large", "grpo_large", "pass_at_1_sampled"),
    ("results-conditions.md", "−1.4 [−3.8, 1.1]", "generation", "on_top_long", "grpo_long", "pass_at_1_sampled"),
    (
        "results-conditions.md",
        "−1.8 [−5.1, 1.5]",
        "generation",
        "coderlplus_longer",
        "grpo_longer",
        "pass_at_1_sampled",
    ),
    (
        "results-conditions.md",
        "**+21.8** (9.6 to 33.9;",
        "families",
        "llama_coderlplus",
        "llama_grpo",
        "output_accuracy",
    ),
]


def test_the_table_of_the_results_is_that_of_the_raw_files(numbers: dict[tuple[str, str, str, str], Any]) -> None:
    page = (RESULTS.parent / "results.md").read_text(encoding="utf-8")
    for label, arm in ROWS.items():
        cells = " | ".join(f"{100 * numbers['main', arm, '', name]['mean']:.1f}" for name in SHORT)
        assert f"| {label} | {cells} |" in page


@pytest.mark.parametrize("said", SAID, ids=lambda said: said[1])
def test_what_the_pages_say_is_in_the_raw_files(
    numbers: dict[tuple[str, str, str, str], Any], said: tuple[str, str, str, str, str, str]
) -> None:
    """Every number of a sentence is the mean or an end of an interval, up to its sign: which side is less is said in
    words."""
    page, text, *key = said
    spread = numbers[key[0], key[1], key[2], key[3]]
    known = {f"{abs(100 * spread[name]):.1f}" for name in ENDS if spread[name] is not None}
    asked = re.sub(r"pass@\d", "", text)
    assert set(re.findall(r"\d+\.\d", asked)) <= known
    assert text in " ".join((RESULTS.parent / page).read_text(encoding="utf-8").replace("\n> ", "\n").split())


@pytest.fixture(scope="module")
def published(done: StudyFolder, study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study in miniature, as `study --docs` writes it."""
    docs = tmp_path_factory.mktemp("docs")
    raw = collect(study, done, "coderlplus-lab study a.yaml --docs docs")
    publish(raw, study_results(raw), docs)
    return docs


def test_a_study_that_is_run_now_is_rebuilt_with_curves_and_probes(
    published: Path, study: Study, done: StudyFolder, tmp_path: Path
) -> None:
    shutil.copytree(published / "miniature", tmp_path / "miniature")
    rebuild(tmp_path)
    assert pages(tmp_path) == pages(published)
    page = (published / "miniature.md").read_text()
    assert "at equal seconds of training" in page
    assert "curves (so" not in page
    assert read_raw_study(tmp_path / "miniature").about["probes"] == read_probes(study, done) != {}


def test_raw_files_say_what_they_were_made_of(published: Path) -> None:
    for path in (published / "miniature").glob("*-0.json"):
        raw = json.loads(path.read_text())
        assert {"commit", "recipe", "measured"} <= raw.keys()
        assert len(raw["curve"]) == (0 if path.stem == "start-0" else 2)


def test_raw_files_have_means_of_what_problems_and_tasks_have_each(published: Path, done: StudyFolder) -> None:
    kinds = json.loads((published / "miniature" / "coderlplus-0.json").read_text())["kinds"]
    lines = [json.loads(line) for line in (done.run("coderlplus", 0) / "metrics.jsonl").read_text().splitlines()]
    for name in kinds.keys() - {GRADIENT}:
        assert kinds[name] == pytest.approx(mean([line[name] for line in lines if name in line]), abs=1e-5)
    assert {"entropy/generation", "zero_variance/generation"} <= kinds.keys()
    assert "kinds" not in json.loads((published / "miniature" / "references-0.json").read_text())
    assert "| problems / tasks " in (published / "miniature.md").read_text()


def test_families_come_from_the_records(published: Path, done: StudyFolder) -> None:
    families = read_raw_study(published / "miniature").about["families"]
    problems = [json.loads(line) for line in done.problems("test").read_text().splitlines()]
    assert [families["names"][place] for place in families["problems"]] == [one["family"] for one in problems]
    assert {len(of_measure(families, name) or ()) for name in LABELS} == {len(problems)}


@pytest.mark.parametrize("change", [{"study": {"name": "a"}}, {"probes": None}])
def test_raw_files_that_were_changed_are_told(published: Path, tmp_path: Path, change: dict[str, object]) -> None:
    shutil.copytree(published / "miniature", tmp_path / "miniature")
    path = tmp_path / "miniature" / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=r"study\.json was not written by a study"):
        rebuild(tmp_path)


def test_the_command_writes_the_pages_that_it_names(tmp_path: Path) -> None:
    shutil.copytree(RESULTS / "small", tmp_path / "small")
    done = CliRunner().invoke(app, ["results", str(tmp_path)])
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'small.md'}\n")
    assert (tmp_path / "small.svg").read_text() == (RESULTS / "small.svg").read_text()


def test_a_folder_without_raw_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no raw numbers of a study"):
        rebuild(tmp_path)
