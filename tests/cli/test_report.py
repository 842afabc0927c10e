"""`coderlplus report`."""

from pathlib import Path

from typer.testing import CliRunner

from coderlplus.cli import app
from coderlplus.errors import DataError


def test_it_prints_where_the_page_is(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n')
    result = CliRunner().invoke(app, ["report", str(tmp_path), "-o", str(tmp_path / "page.html")])
    assert result.exit_code == 0
    assert result.stdout.strip() == str(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


def test_a_folder_that_is_no_run_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert isinstance(result.exception, DataError)
    assert "holds no metrics.jsonl" in str(result.exception)
    assert not list(tmp_path.iterdir())
