"""The page as a file: complete, self-contained, bounded, and the same each time."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coderlplus.errors import DataError
from coderlplus.report import write_report
from coderlplus.report.folders import read_folder
from coderlplus.report.html import embed
from coderlplus.report.run_page import page_data


def embedded(page: Path) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert match
    data: dict[str, Any] = json.loads(match[1])
    return data


def test_the_page_lies_in_the_folder_unless_told_otherwise(run_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = run_folder(steps=3)
    assert write_report(folder) == folder / "index.html"
    assert write_report(folder, tmp_path / "elsewhere" / "page.html") == tmp_path / "elsewhere" / "page.html"
    assert (tmp_path / "elsewhere" / "page.html").read_bytes() == (folder / "index.html").read_bytes()


def test_the_page_loads_nothing(two_runs: Path, tmp_path: Path) -> None:
    text = write_report(two_runs, tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search(
        r"""(?:src|href|action)\s*=\s*["']?(?:https?:)?//|@import|url\(|\bfetch\(|XMLHttpRequest|\bimport\(""", text
    )
    assert "default-src 'none'" in text


def test_all_runs_are_on_the_page(two_runs: Path, tmp_path: Path) -> None:
    data = embedded(write_report(two_runs, tmp_path / "page.html"))
    assert [run["label"] for run in data["runs"]] == ["GRPO", "CodeRL+"]
    assert {group["run"] for group in data["samples"]["groups"]} == {0, 1}
    for run in data["runs"]:
        written = [json.loads(line) for line in (two_runs / run["name"] / "metrics.jsonl").read_text().splitlines()]
        assert run["curves"]["step"] == [line["step"] for line in written]
        assert run["curves"]["loss"][1:] == pytest.approx([line["loss"] for line in written[1:]], rel=1e-5)


def test_the_page_is_the_same_each_time(two_runs: Path, tmp_path: Path) -> None:
    assert (
        write_report(two_runs, tmp_path / "a.html").read_bytes()
        == write_report(two_runs, tmp_path / "b.html").read_bytes()
    )


@pytest.mark.parametrize(
    "text", ["</script><script>alert(1)</script>", "<!--<script>", "\u2028\u2029", "\ud800", "{{script}}", '"\\']
)
def test_no_text_can_end_the_data_block(text: str) -> None:
    block = embed({"text": text})
    assert "<" not in block
    assert block.isascii()
    assert json.loads(block) == {"text": text}


def test_a_long_run_is_averaged_down(run_folder: Callable[..., Path]) -> None:
    folder = run_folder(steps=1)
    (folder / "metrics.jsonl").write_text(
        "".join(json.dumps({"step": step, "loss": float(step)}) + "\n" for step in range(1, 5001))
    )
    curves = page_data(read_folder(folder))["runs"][0]["curves"]
    assert len(curves["step"]) <= 1000
    assert curves["step"][-1] == 5000
    assert curves["loss"][0] == pytest.approx(sum(range(1, 6)) / 5)


def test_a_page_stays_small_whatever_was_recorded(run_folder: Callable[..., Path]) -> None:
    folder = run_folder(steps=1)
    line = json.loads((folder / "samples.jsonl").read_text().splitlines()[0])
    with (folder / "samples.jsonl").open("w") as file:
        for step in range(1, 201):
            for sample in line["samples"]:
                sample["completion"] = "<é" * 4500
            file.write(json.dumps(line | {"step": step}) + "\n")
    assert (folder / "samples.jsonl").stat().st_size > 40e6
    assert write_report(folder).stat().st_size < 5e6


@pytest.mark.parametrize("missing", ["samples.jsonl", "config.yaml", "environment.json"])
def test_only_metrics_must_be_there(run_folder: Callable[..., Path], missing: str) -> None:
    folder = run_folder(steps=3)
    (folder / missing).unlink()
    assert embedded(write_report(folder))["runs"][0]["steps"] == 3


def test_an_unfinished_run_says_so(run_folder: Callable[..., Path]) -> None:
    run = embedded(write_report(run_folder(steps=3, planned=60)))["runs"][0]
    assert (run["finished"], run["steps"], run["planned"]) == (False, 3, 60)


def test_an_output_that_cannot_be_written_is_one_sentence(run_folder: Callable[..., Path]) -> None:
    folder = run_folder(steps=1)
    with pytest.raises(DataError, match=r"cannot write .*; use another file with -o$"):
        write_report(folder, folder / "config.yaml" / "page.html")
