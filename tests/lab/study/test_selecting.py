"""Programs to choose from and predictions about them, end to end on a model that writes programs that run (that of the
engine's tests), as jobs of a study."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from coderlplus.errors import ConfigError, DataError
from coderlplus.evaluation.examples import visible_examples
from coderlplus.evaluation.generate import generate
from coderlplus.evaluation.selection import agrees, prediction_prompt
from coderlplus.problems.prompts import conversation
from coderlplus.records import CallTest, Problem, read_jsonl, write_jsonl
from coderlplus_lab.study.fingerprints import check_kept, fingerprint_text
from coderlplus_lab.study.folder import FINGERPRINT, StudyFolder
from coderlplus_lab.study.initial_models import load_model
from coderlplus_lab.study.job import do
from coderlplus_lab.study.loading import make_study
from coderlplus_lab.study.plan import plan, wanted
from coderlplus_lab.study.raw import collect, read_raw_study
from coderlplus_lab.study.results import study_results
from coderlplus_lab.study.selecting import named_variables
from coderlplus_lab.study.selection import pack, unpack
from coderlplus_lab.study.settings import Study
from coderlplus_lab.study.tables import publish, rebuild, tables

TIMES = {"seconds", "measured"}


@pytest.fixture(scope="module")
def engine() -> Any:
    """The module with the model."""
    path = Path(__file__).parents[2] / "engines" / "conftest.py"
    spec = importlib.util.spec_from_file_location("engine_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("files")
    engine.make_model().save_pretrained(folder / "model")
    engine.make_tokenizer().save_pretrained(folder / "model")
    for split, count in (("train", 1), ("validation", 1), ("test", 5)):
        problems = [
            Problem(
                problem_id=f"{split}-{k}",
                statement=f"write f(x) = x + {k}\nf(1) == {1 + k}\nf(2) == {2 + k}\n",
                entry_point="f",
                tests=tuple(CallTest((x,), x + k) for x in (1, 2, 5)),
                reference=f"def f(x):\n    y = x + {k}\n    return y\n",
            )
            for k in range(1, count + 1)
        ]
        write_jsonl(folder / f"{split}.jsonl", problems)
    return {
        "name": "choose",
        "seeds": [0, 1],
        "problems": {split: str(folder / f"{split}.jsonl") for split in ("train", "validation", "test")},
        "initial_models": {"there": {"model": str(folder / "model")}},
        "train": {
            "prompt_template": "{statement}",
            "sandbox": {"workers": 1},
            "alignment": {"prompt_style": "compact"},
            "trl": {"use_cpu": True},
        },
        "measure": {"samples": 2, "max_new_tokens": 1, "batch_size": 64},
        "arms": {"start": {"label": "Start"}, "other": {"seeds": [0]}},
        "selection": {"samples": 16, "readers": {"start": ["start", "other"]}},
    }


@pytest.fixture(scope="module")
def study(data: dict[str, Any]) -> Study:
    return make_study(data)


@pytest.fixture(scope="module")
def done(study: Study, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    layout = StudyFolder(tmp_path_factory.mktemp("study"))
    run(study, layout)
    return layout


def run(study: Study, layout: StudyFolder) -> list[str]:
    """Do what is not done; the keys of that."""
    found = []
    for job in plan(study, layout).values():
        if not job.done:
            job.folder.mkdir(parents=True, exist_ok=True)
            (job.folder / FINGERPRINT).write_text(fingerprint_text(job))
            do(study, layout, job)
            assert job.done, job.key
            found.append(job.key)
    return found


def read(path: Path) -> dict[str, Any]:
    return {name: value for name, value in json.loads(path.read_text()).items() if name not in TIMES}


def test_the_jobs_of_a_seed_come_before_the_next_seed_and_after_what_they_need(study: Study) -> None:
    keys = [key for key in plan(study, StudyFolder(Path("s"))) if key != "problems"]
    assert keys == [
        *("run/start/0", "run/other/0", "programs/start/0", "predictions/start/start/0"),
        *("predictions/start/other/0", "run/start/1", "programs/start/1", "predictions/start/start/1"),
    ]
    assert list(wanted(plan(study, StudyFolder(Path("s"))), ["predictions/start/other"])) == [
        "problems",
        *keys[:3],
        keys[4],
    ]


def test_a_selection_changes_no_other_job_and_a_folder_made_without_it_is_continued(
    data: dict[str, Any], study: Study, done: StudyFolder, tmp_path: Path
) -> None:
    plain = make_study({name: value for name, value in data.items() if name != "selection"})
    before = plan(plain, StudyFolder(tmp_path / "again"))
    shutil.copytree(done.root, tmp_path / "again")
    shutil.rmtree(tmp_path / "again" / "selection")
    after = plan(study, StudyFolder(tmp_path / "again"))
    assert all(fingerprint_text(after[key]) == fingerprint_text(job) for key, job in before.items())
    check_kept(after)
    assert run(study, StudyFolder(tmp_path / "again")) == [key for key in after if key not in before]


def test_other_numbers_of_samples_are_not_mixed_in(data: dict[str, Any], done: StudyFolder) -> None:
    other = make_study(data | {"selection": data["selection"] | {"samples": 8}})
    with pytest.raises(ConfigError, match=r"programs was made with other settings \(samples: 16 → 8\)"):
        check_kept(plan(other, done))


def test_programs_are_judged_and_run_on_the_examples_as_if_each_alone(study: Study, done: StudyFolder) -> None:
    raw = read(done.programs("start", 0) / "programs.json")
    problems = list(read_jsonl(done.problems("test"), Problem))
    lines = [json.loads(line) for line in (done.programs("start", 0) / "programs.jsonl").read_text().splitlines()]
    which, passed, executed = (unpack(raw[name]) for name in ("which", "passed", "executed"))
    assert [len(row) for row in which] == [len(row) for row in unpack(raw["logprob"])] == [16] * 5
    seen = 0
    for number, (problem, line) in enumerate(zip(problems, lines, strict=True)):
        assert sorted(set(which[number])) == list(range(len(line["programs"])))
        for place, program in enumerate(line["programs"]):
            if program is None:
                assert (passed[number][place], executed[number][place]) == (0, -1)
                continue
            seen += 1
            names: dict[str, Any] = {}
            exec(program, names)
            right = [names["f"](*test.args) == test.expected for test in problem.tests if isinstance(test, CallTest)]
            assert (passed[number][place], executed[number][place]) == (int(all(right)), sum(right[:2]))
    assert seen > 5


def test_predictions_are_what_the_reader_says_to_each_question_alone(study: Study, done: StudyFolder) -> None:
    from coderlplus.engines.models import load_tokenizer

    raw = read(done.predictions("start", "other", 0) / "predictions.json")
    assert (raw["arm"], raw["reader"], raw["seed"]) == ("start", "other", 0)
    path = str(study.initial_models["there"].model)
    model: Any = load_model(path, "cpu")
    lines = [json.loads(line) for line in (done.programs("start", 0) / "programs.jsonl").read_text().splitlines()]
    asked = 0
    for problem, line, row in zip(
        read_jsonl(done.problems("test"), Problem), lines, unpack(raw["predicted"]), strict=True
    ):
        examples = visible_examples(problem, problem.statement)
        assert examples == list(problem.tests[:2])
        for program, count in zip(line["programs"], row, strict=True):
            questions = [
                prediction_prompt(problem, program, one, "compact", variables=["y"]) for one in examples if program
            ]
            said = [
                generate(model, load_tokenizer(path), [conversation(one)], greedy=True, max_new_tokens=1)[0][0]
                for one in questions
            ]
            asked += len(questions)
            agreed = [agrees(one, text) for one, text in zip(examples, said, strict=False)]
            assert count == (-1 if program is None else sum(agreed))
    assert raw["questions"] <= asked


def test_the_same_seed_gives_the_same_numbers_after_a_stop_between_jobs(
    study: Study, done: StudyFolder, tmp_path: Path
) -> None:
    again = StudyFolder(tmp_path / "again")
    shutil.copytree(done.root, again.root)
    shutil.rmtree(again.predictions("start", "start", 0))
    shutil.rmtree(again.programs("start", 1))
    (again.predictions("start", "start", 1) / "predictions.json").unlink()
    kept = (again.programs("start", 0) / "programs.json").stat().st_mtime_ns
    assert run(study, again) == ["predictions/start/start/0", "programs/start/1", "predictions/start/start/1"]
    assert (again.programs("start", 0) / "programs.json").stat().st_mtime_ns == kept
    for path in done.root.glob("selection/*/*/*/*.json"):
        assert read(again.root / path.relative_to(done.root)) == read(path)


def test_page_and_pictures_are_rebuilt_from_the_raw_files(study: Study, done: StudyFolder, tmp_path: Path) -> None:
    raw = collect(study, done, "coderlplus-lab study a.yaml --docs docs")
    results = study_results(raw)
    publish(raw, results, tmp_path / "docs")
    shutil.copytree(tmp_path / "docs" / "choose", tmp_path / "other" / "choose")
    rebuild(tmp_path / "other")
    names = {path.name for path in (tmp_path / "docs").iterdir()}
    assert names == {"choose", "choose.md", "choose.svg", "choose-selection.svg"}
    for name in names - {"choose"}:
        assert (tmp_path / "other" / name).read_bytes() == (tmp_path / "docs" / name).read_bytes()
    page = (tmp_path / "docs" / "choose.md").read_text()
    assert "choose-selection.svg" in page
    assert "| written by " in page
    assert "Start: by itself − log-probability" in page
    again = read_raw_study(tmp_path / "docs" / "choose").selections
    assert again == raw.selections
    for one in again["start"].values():
        assert {"commit", "recipe", "measured"} <= one.keys()
        assert all({"commit", "recipe", "measured"} <= reader.keys() for reader in one["readers"].values())


def test_levels_at_one_sample_are_those_of_random_choice(study: Study, done: StudyFolder) -> None:
    [writer] = study_results(collect(study, done, "a.yaml"))["selection"]["writers"]
    assert writer["seeds"] == [0, 1]
    names = [one["name"] for one in writer["selectors"]]
    assert names == ["random", "logprob", "by_start", "execution"]  # the other reader has seed 0 alone
    first = [one["sizes"][1]["mean"] for one in writer["selectors"]]
    assert first == pytest.approx([first[0]] * 4)
    assert writer["selectors"][-1]["sizes"][16]["mean"] >= first[0]


def test_what_is_not_there_yet_is_missing_and_what_is_broken_is_told(
    study: Study, done: StudyFolder, tmp_path: Path
) -> None:
    again = StudyFolder(tmp_path / "again")
    shutil.copytree(done.root, again.root)
    (again.predictions("start", "other", 0) / "predictions.json").unlink()
    shutil.rmtree(again.programs("start", 1))
    results = study_results(collect(study, again, "a.yaml"))
    assert results["missing"] == ["predictions/start/other/0", "programs/start/1"]
    assert "written by" in tables(results)
    (again.predictions("start", "start", 0) / "predictions.json").unlink()
    [writer] = study_results(collect(study, again, "a.yaml"))["selection"]["writers"]
    assert [one["name"] for one in writer["selectors"]] == ["random", "logprob", "execution"]
    publish(raw := collect(study, again, "a.yaml"), study_results(raw), tmp_path / "docs")
    assert read_raw_study(tmp_path / "docs" / "choose").selections == raw.selections


def spoiled(packed: str, place: int, change: list[int] | None) -> str:
    rows = unpack(packed)
    return pack([*rows[:place], *([] if change is None else [change]), *rows[place + 1 :]])


PROGRAMS = ("programs.json", "which", "logprob", "passed", "executed", "samples", "tokens")
PREDICTIONS = ("predictions.json", "predicted", "questions", "tokens")


@pytest.mark.parametrize("where", ["folder", "page"])
@pytest.mark.parametrize(
    ("file", "name", "change"),
    [
        (file, name, change)
        for file, *names in (PROGRAMS, PREDICTIONS)
        for name in names
        for change in ("gone", "text", "row", "number")
        if change in ("gone", "text") or name not in ("samples", "tokens", "questions")
    ],
)
def test_numbers_that_are_not_about_the_same_programs_are_told_with_their_file(
    study: Study, done: StudyFolder, tmp_path: Path, where: str, file: str, name: str, change: str
) -> None:
    if where == "folder":
        root = StudyFolder(tmp_path / "again")
        shutil.copytree(done.root, root.root)
        of_programs, of_reader = root.programs("start", 0), root.predictions("start", "other", 0)
        path = (of_programs if file == "programs.json" else of_reader) / file
    else:
        publish(raw := collect(study, done, "a.yaml"), study_results(raw), tmp_path)
        path = tmp_path / "choose" / "start-0.selection.json"
    whole = json.loads(path.read_text())
    data = whole["readers"]["other"] if where == "page" and file == "predictions.json" else whole
    if change == "gone":
        del data[name]
    elif change == "text":
        data[name] = "no"
    else:
        data[name] = spoiled(data[name], 2, None if change == "row" else [*unpack(data[name])[2], 0])
    path.write_text(json.dumps(whole))
    with pytest.raises(
        DataError, match=rf"{path.name} was not written by a study .*; remove it and rerun the study"
    ) as told:
        collect(study, root, "a.yaml") if where == "folder" else rebuild(tmp_path)
    assert str(told.value).count("was not written by") == 1


@pytest.mark.parametrize("text", [None, "", '{"programs": []}\n', '{"programs": []}\n' * 9, '{"program": 1}\n' * 5])
def test_programs_that_are_not_those_of_the_problems_are_not_read(
    study: Study, done: StudyFolder, tmp_path: Path, text: str | None
) -> None:
    again = StudyFolder(tmp_path / "again")
    shutil.copytree(done.root, again.root)
    path = again.programs("start", 0) / "programs.jsonl"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(DataError, match=r"programs\.jsonl (is missing|has programs for \d of 5 problems); remove"):
        do(study, again, plan(study, again)["predictions/start/other/0"])
    assert read(again.predictions("start", "other", 0) / "predictions.json")  # what was there is left


def test_every_selection_that_is_missing_in_a_published_folder_is_named(
    study: Study, done: StudyFolder, tmp_path: Path
) -> None:
    publish(raw := collect(study, done, "a.yaml"), study_results(raw), tmp_path)
    (tmp_path / "choose" / "start-1.selection.json").unlink()
    (tmp_path / "choose" / "other-0.json").unlink()
    path = tmp_path / "choose" / "start-0.selection.json"
    data = json.loads(path.read_text())
    del data["readers"]["other"]
    path.write_text(json.dumps(data))
    rebuild(tmp_path)
    page = " ".join((tmp_path / "choose.md").read_text().split())
    assert "**Not run yet:** other/0, predictions/start/other/0, programs/start/1" in page


def test_a_reader_of_a_model_without_programs_is_missing(study: Study, done: StudyFolder, tmp_path: Path) -> None:
    again = StudyFolder(tmp_path / "again")
    shutil.copytree(done.root, again.root)
    (again.programs("start", 0) / "programs.json").unlink()  # stopped while its programs were written anew
    (again.programs("start", 0) / "programs.json.partial").write_text("{")
    results = study_results(collect(study, again, "a.yaml"))
    assert results["missing"] == ["programs/start/0"]
    assert list(results["selection"]["writers"][0]["seeds"]) == [1]
    assert run(study, again) == ["programs/start/0"]
    assert study_results(collect(study, again, "a.yaml"))["missing"] == []


def test_a_commit_that_only_read_is_named_too(study: Study, done: StudyFolder, tmp_path: Path) -> None:
    again = StudyFolder(tmp_path / "again")
    shutil.copytree(done.root, again.root)
    path = again.predictions("start", "other", 0) / "predictions.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"commit": "d" * 40}))
    assert study_results(collect(study, again, "a.yaml"))["commits"][-1] == "d" * 40


def test_a_pilot_writes_programs_for_the_problems_that_it_is_measured_on(data: dict[str, Any], tmp_path: Path) -> None:
    pilot = make_study(data | {"seeds": [0], "measure": data["measure"] | {"split": "validation"}})
    layout = StudyFolder(tmp_path)
    run(pilot, layout)
    results = study_results(collect(pilot, layout, "a.yaml"))
    assert results["counts"]["problems"] == 1
    assert len(unpack(read(layout.programs("start", 0) / "programs.json")["which"])) == 1


@pytest.mark.parametrize("change", [{"readers": {"strat": ["start"]}}, {"readers": {"start": ["strat"]}}])
def test_arms_that_are_not_there_are_told(data: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"unknown arm 'strat'; did you mean 'start'\?"):
        make_study(data | {"selection": change})


@pytest.mark.parametrize(
    ("program", "entry_point", "names"),
    [
        ("def f(x):\n    a = x\n    a = 2\n    b: int = 3\n    _c, d = 1, 2\n    return a", "f", ["a", "b"]),
        ("def g(x):\n    a = x\ndef f(x):\n    for i in x:\n        k = i\n    return x", "f", []),
        ("class S:\n    def f(self):\n        a = 1", "S.f", []),
        ("a = input()\nprint(a)", None, ["a"]),
        ("def f(x:", "f", []),
        ("def f(x):\n    a = b = c = d = x\n    return a", "f", ["a", "b", "c"]),
    ],
)
def test_variables_are_named_from_the_text(program: str, entry_point: str | None, names: list[str]) -> None:
    assert named_variables(program, entry_point, 3) == names
