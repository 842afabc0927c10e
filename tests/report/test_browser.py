"""The page in a real browser; skipped where there is no Chromium."""

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from coderlplus.report import write_report

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script><!--\u2028"


class Document(HTMLParser):
    """Counts elements by tag and class, and collects text outside of scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.classes: list[str] = []
        self.text = ""
        self._hidden = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.classes += (dict(attrs).get("class") or "").split()
        self._hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data


def poisoned(value: Any) -> Any:
    """The same JSON with hostile text in place of everything that a model or a problem's author writes."""
    if isinstance(value, dict):
        mine = {
            "statement",
            "completion",
            "prompt",
            "detail",
            "program",
            "reference",
            "label",
            "problem_id",
            "task_id",
        }
        return {
            key: HOSTILE + str(item) if key in mine and isinstance(item, str) else poisoned(item)
            for key, item in value.items()
        }
    return [poisoned(item) for item in value] if isinstance(value, list) else value


def test_the_page_shows_curves_and_samples(two_runs: Path, tmp_path: Path, browse: Callable[..., str]) -> None:
    document = Document(browse(write_report(two_runs, tmp_path / "page.html")))
    assert document.classes.count("chart") >= 14
    assert document.classes.count("group") == 140
    for words in ("Alignment task", "made at step", "made tasks"):
        assert words in document.text


def test_an_address_opens_its_sample(two_runs: Path, tmp_path: Path, browse: Callable[..., str]) -> None:
    page = write_report(two_runs, tmp_path / "page.html")
    document = Document(browse(page, "#sample/grpo/20/3/5"))
    assert "GRPO · step 20 · group 3" in document.text
    assert "8 rollouts" in document.text


def test_hostile_text_stays_text(run_folder: Callable[..., Path], browse: Callable[..., str]) -> None:
    folder = run_folder(steps=10, groups=5)
    lines = [poisoned(json.loads(line)) for line in (folder / "samples.jsonl").read_text().splitlines()]
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = write_report(folder)
    for fragment in ("#sample/run/10/4/0", "#sample/run/1/0/0"):
        document = Document(browse(page, fragment))
        assert HOSTILE[:20] in document.text
        assert "img" not in document.tags
        assert document.tags.count("script") == 2
        assert "CodeRL+ run “run”" in document.text


def test_a_run_of_one_step_without_tasks_has_a_page(
    run_folder: Callable[..., Path], browse: Callable[..., str]
) -> None:
    folder = run_folder(steps=1, planned=50, groups=1, alignment=False)
    (folder / "metrics.jsonl").write_text('{"step": 1, "reward/generation": 0.0, "pass_rate": 0.0}\n')
    (folder / "samples.jsonl").unlink()
    document = Document(browse(write_report(folder)))
    assert "at step 1 of 50, not finished" in document.text
    assert "No samples were recorded yet." in document.text
