"""Reading run folders: what may be absent, what is an error."""

from collections.abc import Callable
from pathlib import Path

import pytest

from coderlplus.errors import DataError
from coderlplus.report.folders import read_folder


def test_a_folder_with_metrics_is_one_run(run_folder: Callable[..., Path]) -> None:
    folder = read_folder(run_folder(steps=4))
    assert [run.name for run in folder.runs] == ["run"]
    assert [line["step"] for line in folder.runs[0].metrics] == [0, 1, 2, 3, 4]


def test_several_runs_list_plain_grpo_first(two_runs: Path) -> None:
    assert [run.label for run in read_folder(two_runs).runs] == ["GRPO", "CodeRL+"]


def test_a_step_written_twice_counts_once(run_folder: Callable[..., Path]) -> None:
    folder = run_folder(steps=1)
    (folder / "metrics.jsonl").write_text(
        '{"step": 1, "loss": 1.0}\n{"step": 2, "loss": 2.0}\n{"step": 1, "loss": 3.0}\n'
    )
    assert [line["loss"] for line in read_folder(folder).runs[0].metrics] == [3.0, 2.0]


def test_a_line_that_is_still_being_written_is_left_out(run_folder: Callable[..., Path]) -> None:
    folder = run_folder(steps=2)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')
    assert read_folder(folder).runs[0].metrics[-1]["step"] == 2


def test_values_that_no_curve_can_show_are_left_out(run_folder: Callable[..., Path]) -> None:
    folder = run_folder(steps=1)
    (folder / "metrics.jsonl").write_text('{"step": 1, "kl": NaN, "note": "x", "loss": Infinity, "entropy": 0.5}\n')
    assert read_folder(folder).runs[0].metrics == [{"step": 1, "entropy": 0.5}]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("metrics.jsonl", '{"step": 1}\n{broken\n', r"metrics\.jsonl:2: not valid JSON .*; remove the line$"),
        ("metrics.jsonl", "[1]\n", r"metrics\.jsonl:1: expected a JSON object, not list; remove the line$"),
        ("metrics.jsonl", '{"step": "one"}\n', r"metrics\.jsonl:1: field 'step' must be an integer, not 'one'$"),
        ("metrics.jsonl", "", r"metrics\.jsonl has no step yet; wait for the first one$"),
        ("environment.json", "{", r"environment\.json:1: not valid JSON .*; fix or remove the file$"),
        (
            "environment.json",
            "[]",
            r"environment\.json: expected a JSON object, not list; fix or remove the file$",
        ),
        ("config.yaml", "a: [", r"config\.yaml: not valid YAML; .*remove it$"),
    ],
)
def test_a_broken_file_is_one_sentence_with_its_place(
    run_folder: Callable[..., Path], file: str, text: str, message: str
) -> None:
    folder = run_folder(steps=1)
    (folder / file).write_text(text)
    with pytest.raises(DataError, match=message):
        read_folder(folder)


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no metrics\.jsonl"):
        read_folder(tmp_path)
    with pytest.raises(DataError, match=r"is not a folder; give a run folder, or a folder of run folders$"):
        read_folder(tmp_path / "absent")
