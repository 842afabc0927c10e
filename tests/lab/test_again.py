"""Running a command of the laboratory again: as tests/cli/test_again.py for `coderlplus`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from transformers import AutoModelForCausalLM, LlamaConfig
from typer.testing import CliRunner, Result

from coderlplus.errors import CodeRLPlusError, ConfigError, DataError
from coderlplus.records import write_jsonl
from coderlplus.records.files import held
from coderlplus_lab import cli
from coderlplus_lab.quickstart import run as quickstart_run
from coderlplus_lab.study import study_page
from coderlplus_lab.study.fingerprints import check_kept, fingerprint_text
from coderlplus_lab.study.folder import StudyFolder
from coderlplus_lab.study.loading import load_study, make_study
from coderlplus_lab.study.plan import plan
from coderlplus_lab.world import world
from coderlplus_lab.world.tokenizer import make_tokenizer

TINY = Path(__file__).parents[2] / "recipes" / "study" / "tiny.yaml"
ARGUMENTS: dict[str, list[str]] = {
    "probe": ["probe", "--model", "model", "--programs", "problems.jsonl", "--rows", "100", "--no-own"],
    "study": ["study", "one.yaml"],
    "quickstart": ["quickstart", "--tiny"],
}
CHANGED: dict[str, Callable[[], list[str]]] = {
    "probe": lambda: [*ARGUMENTS["probe"], "--seed", "1"],
    "study": lambda: [*ARGUMENTS["study"][:1], "other/one.yaml"],
    "quickstart": lambda: [*ARGUMENTS["quickstart"], "--seed", "1"],
}
PAGES = {
    "probe": (cli, "write_probe_page"),
    "study": (study_page, "write_study_page"),
    "quickstart": (quickstart_run, "write_quickstart_page"),
}
every = pytest.mark.parametrize("command", ARGUMENTS)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    make_model(folder / "model")
    write_jsonl(folder / "problems.jsonl", world.draw_problems("train", 120, 0))
    whole = load_study(TINY).model_dump(mode="json", exclude_none=True)
    kept = ("title", "output", "world", "initial_models", "train", "measure", "prompt_style")
    settings = {name: whole[name] for name in kept if name in whole}
    settings |= {"seeds": [0], "arms": {"warm_start": {}}}
    (folder / "one.yaml").write_text(yaml.safe_dump(settings))
    (folder / "other").mkdir()
    (folder / "other" / "one.yaml").write_text(
        yaml.safe_dump(settings | {"measure": settings["measure"] | {"samples": 3}})
    )
    return folder


def make_model(folder: Path) -> None:
    tokenizer = make_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def run(arguments: list[str], home: Path, output: Path, *options: str) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        result = CliRunner().invoke(cli.app, [*arguments, "-o", str(output), "--json", *options])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def work(folder: Path) -> dict[str, bytes]:
    """The files that take long to make."""
    chosen = (path for path in folder.rglob("*") if path.suffix in (".jsonl", ".safetensors", ".npy"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in chosen}


@pytest.fixture(scope="module")
def finished(home: Path) -> Callable[[str], Path]:
    """The folder of a command that is finished; nothing of it is changed."""

    def folder(command: str) -> Path:
        output = home / command
        if not output.exists():
            run(ARGUMENTS[command], home, output)
        return output

    return folder


@every
def test_a_second_writer_is_told_who_writes_and_changes_nothing(
    command: str, home: Path, finished: Callable[[str], Path]
) -> None:
    folder = finished(command)
    before = work(folder)
    assert before
    with held(folder), pytest.raises(DataError, match=rf"is being written by process {os.getpid()} on"):
        run(ARGUMENTS[command], home, folder, "--overwrite")
    assert work(folder) == before


@every
def test_the_same_command_makes_nothing_twice_and_says_so(
    command: str, home: Path, finished: Callable[[str], Path]
) -> None:
    folder = finished(command)
    before = work(folder)
    again = run(ARGUMENTS[command], home, folder)
    assert "is complete; use --overwrite to" in again.stderr
    assert work(folder) == before


@every
def test_changed_settings_are_refused_with_the_way_out(
    command: str, home: Path, finished: Callable[[str], Path]
) -> None:
    folder = finished(command)
    before = work(folder)
    with pytest.raises(ConfigError, match=r"other.*(or|add) --overwrite to"):
        run(CHANGED[command](), home, folder)
    assert work(folder) == before


@every
def test_overwrite_makes_it_anew_and_leaves_what_is_not_its_own(
    command: str, home: Path, finished: Callable[[str], Path], tmp_path: Path
) -> None:
    if command == "quickstart" and not os.environ.get("CODERLPLUS_WHOLE"):
        pytest.skip("another minute for the same code as study: CODERLPLUS_WHOLE=1")
    folder = tmp_path / "copy"
    shutil.copytree(finished(command), folder)
    (folder / "notes.txt").write_text("mine")
    first = json.loads(run(ARGUMENTS[command], home, folder).stdout)
    anew = run(CHANGED[command](), home, folder, "--overwrite")
    assert "is complete" not in anew.stderr
    assert json.loads(anew.stdout).keys() == first.keys()
    assert (folder / "notes.txt").read_text() == "mine"
    assert "is complete" in run(CHANGED[command](), home, folder).stderr


@every
def test_the_page_is_written_before_another_may_write(
    command: str, home: Path, finished: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, seen = finished(command), list[bool]()
    where, name = PAGES[command]
    page = getattr(where, name)

    def write(*arguments: object) -> object:
        seen.append((folder / ".lock").exists())
        return page(*arguments)

    monkeypatch.setattr(where, name, write)
    run(ARGUMENTS[command], home, folder)
    assert seen == [True]


@pytest.mark.parametrize("option", ["--only-results", "--only-page"])
def test_overwrite_needs_something_to_make(option: str, home: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trains nothing; leave --overwrite out"):
        run(ARGUMENTS["study" if option == "--only-results" else "quickstart"], home, tmp_path, option, "--overwrite")


@pytest.mark.parametrize("changed", ["train.jsonl", "validation.jsonl", "test.jsonl", "model/config.json"])
def test_a_study_notices_other_contents_of_its_files(changed: str, tmp_path: Path) -> None:
    files = {split: str(tmp_path / f"{split}.jsonl") for split in ("train", "validation", "test")}
    for path in files.values():
        Path(path).write_text("{}\n")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    settings = {"name": "a", "seeds": [0], "problems": files, "arms": {"start": {}, "grpo": {"train": {}}}}
    study = make_study(settings | {"initial_models": {"one": {"model": str(tmp_path / "model")}}})
    layout = StudyFolder(tmp_path / "study")
    for job in plan(study, layout).values():
        job.folder.mkdir(parents=True)
        (job.folder / "fingerprint.yaml").write_text(fingerprint_text(job))
    check_kept(plan(study, layout))
    (tmp_path / changed).write_text("{ }\n")
    jobs = plan(study, layout)
    for key in ("run/start/0", "run/grpo/0"):
        with pytest.raises(CodeRLPlusError, match=r"contents.*add --overwrite to begin all anew"):
            check_kept({key: jobs[key]})
