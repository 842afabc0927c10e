"""docs/results: pages and pictures are what the raw files beside them give, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from coderlplus.errors import DataError
from coderlplus_lab.study.measures import LABELS
from coderlplus_lab.study.plan import StudyFolder
from coderlplus_lab.study.raw import collect, of_measure, read_raw_study
from coderlplus_lab.study.results import study_results
from coderlplus_lab.study.settings import Study
from coderlplus_lab.study.tables import publish, rebuild
from coderlplus_lab.world import world

RESULTS = Path(__file__).parents[3] / "docs" / "results"
LARGEST_MB = 4


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
def published(done: StudyFolder, study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study in miniature, as `study --docs` writes it."""
    docs = tmp_path_factory.mktemp("docs")
    raw = collect(study, done, "coderlplus-lab study a.yaml --docs docs")
    publish(raw, study_results(raw), docs)
    return docs


def test_a_study_that_is_run_now_is_rebuilt_with_curves_and_probes(published: Path, tmp_path: Path) -> None:
    shutil.copytree(published / "miniature", tmp_path / "miniature")
    rebuild(tmp_path)
    assert pages(tmp_path) == pages(published)
    page = (published / "miniature.md").read_text()
    assert "at equal seconds of training" in page
    assert "Hidden states" in page
    assert "curves (so" not in page


def test_raw_files_say_what_they_were_made_of(published: Path) -> None:
    for path in (published / "miniature").glob("*-0.json"):
        raw = json.loads(path.read_text())
        assert {"commit", "recipe", "measured"} <= raw.keys()
        assert len(raw["curve"]) == (0 if path.stem == "start-0" else 2)


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


def test_a_folder_without_raw_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no raw numbers of a study"):
        rebuild(tmp_path)
