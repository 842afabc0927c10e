"""Progress without a terminal: a line at the start, one every interval, one at the end, all on stderr."""

from __future__ import annotations

import re
import threading

import pytest

from coderlplus.progress import Count, Progress


def test_lines_at_the_start_in_between_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(line_every_s=0.02) as progress:
        for number in progress.track(range(3), "counting", 3):
            if number == 1:
                threading.Event().wait(0.5)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[0] == "counting: 0 of 3"
    assert len(lines) > 3
    between = r"counting: 1 of 3, [\d.]+ a (second|minute), \d+:\d\d left"
    assert all(re.fullmatch(between, line) for line in lines[1:-1])
    assert re.fullmatch(r"counting: 3 of 3 in 0:\d\d", lines[-1])


def test_work_that_ends_early_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with Progress() as progress:
            count = progress.begin("judging", 9, before=4)
            progress.advance(count, detail="5 passed")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert capsys.readouterr().err.splitlines() == [
        "judging: 4 of 9",
        "judging: stopped at 5 of 9 in 0:00, 5 passed",
    ]
    assert "progress" not in {thread.name for thread in threading.enumerate()}


def test_nothing_to_do_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as progress:
        assert list(progress.track([], "counting", 0)) == []
    assert capsys.readouterr().err == ""


def test_the_time_left_counts_only_what_this_process_did(monkeypatch: pytest.MonkeyPatch) -> None:
    count = Count("judging", 1000, before=900, done=910, began=0.0)
    monkeypatch.setattr("time.monotonic", lambda: 20.0)
    assert count.line() == "judging: 910 of 1000, 30.0 a minute, 3:00 left"
