"""A journal loses no line, holds no line in memory, and has one writer; a file is written whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderlplus.errors import ConfigError, DataError
from coderlplus.records.files import atomic_write, held, whole_file
from coderlplus.records.journal import Fields, Journal, read_journal
from coderlplus.records.outputs import open_output


def key(line: Fields) -> int:
    return int(line["n"])


def journal(path: Path, **options: Any) -> Journal[int, Fields]:
    return Journal(path, Fields, key, **options)


LINES = st.lists(st.tuples(st.integers(0, 5), st.text(max_size=8)), max_size=12)


@given(lines=LINES, cut=st.integers(0, 400), more=LINES)
def test_cut_anywhere_the_whole_lines_are_kept_and_others_are_added(
    lines: list[tuple[int, str]], cut: int, more: list[tuple[int, str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j"
        with journal(path) as first:
            for number, text in lines:
                first.append(Fields(n=number, text=text))
        whole = path.read_bytes()
        left = whole[:cut]
        path.write_bytes(left)
        expected = {key(line): line for line in map(Fields, map(json.loads, left.split(b"\n")[:-1]))}
        with journal(path) as second:
            assert second.to_dict() == expected
            for number, text in more:
                second.append(Fields(n=number, text=text))
                expected[number] = Fields(n=number, text=text)
            assert second.to_dict() == expected
            assert {number: second[number] for number in second} == expected
        assert read_journal(path, Fields, key).to_dict() == expected


def test_lines_that_do_not_count_are_dropped(tmp_path: Path) -> None:
    with journal(tmp_path / "j") as first:
        for number in (1, 2, 3):
            first.append(Fields(n=number, fault=number == 2))
    with journal(tmp_path / "j", keep=lambda line: not line["fault"]) as second:
        assert list(second) == [1, 3]
        second.append(Fields(n=2, fault=False))
    assert [json.loads(line)["n"] for line in (tmp_path / "j").read_text().splitlines()] == [1, 3, 2]


def test_memory_holds_places_and_not_lines(tmp_path: Path) -> None:
    with journal(tmp_path / "j") as one:
        for number in range(20):
            one.append(Fields(n=number, text="x" * 10_000))
        assert len(repr(vars(one))) < 2_000
        assert [len(line["text"]) for line in one.values(range(3, 5))] == [10_000, 10_000]


@pytest.mark.parametrize("text", ['{"n": 1}\n{"m": 2}\n', "[]\n", '{"n": 1}\nx\n{"n'])
def test_a_broken_line_is_named_and_nothing_is_changed(tmp_path: Path, text: str) -> None:
    path = tmp_path / "j"
    path.write_text(text)
    with pytest.raises(DataError, match=r"j:[12]: not a line of this file \(.*; remove the line"):
        journal(path)
    assert path.read_text() == text
    with held(path):  # free, although it failed
        pass


def test_a_full_disk_loses_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with journal(tmp_path / "j") as one:
        one.append(Fields(n=0))
        with Path("/dev/full").open("wb", buffering=0) as full:
            monkeypatch.setattr(one, "_file", full)
            with pytest.raises(DataError, match="No space left on device; earlier lines are kept"):
                one.append(Fields(n=1))
        assert list(one) == [0]
    assert (tmp_path / "j").read_text() == '{"n": 0}\n'


def test_a_file_has_one_writer_and_the_second_is_told_who(tmp_path: Path) -> None:
    me = f"process {os.getpid()} on "
    with journal(tmp_path / "j"), pytest.raises(DataError, match=f"j is being written by {me}"):
        journal(tmp_path / "j")
    with held(tmp_path), pytest.raises(DataError, match=f"is being written by {me}"), held(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "j"]


HOLD = """
import sys, time
from pathlib import Path
from coderlplus.records.files import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_lock_of_a_killed_process_is_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(DataError, match=f"f is being written by process {process.pid} on"), held(path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (tmp_path / "f.lock").exists()
    with held(path):
        pass
    assert not (tmp_path / "f.lock").exists()


def test_a_lock_ends_though_a_child_process_has_the_descriptor(tmp_path: Path) -> None:
    with held(tmp_path / "f"):
        inode = (tmp_path / "f.lock").stat().st_ino
        descriptor = next(int(entry.name) for entry in Path("/proc/self/fd").iterdir() if _inode(entry) == inode)
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[descriptor])
    with held(tmp_path / "f"):
        pass
    child.communicate(b"\n")


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


@pytest.mark.parametrize("data", ["text: ü\n", b"\0\1"])
def test_a_file_is_written_whole_or_stays(tmp_path: Path, data: str | bytes) -> None:
    path = tmp_path / "f"
    atomic_write(path, data)
    assert path.read_bytes() == (data.encode() if isinstance(data, str) else data)
    with pytest.raises(ZeroDivisionError), whole_file(path) as file:
        file.write("half" * (1 // 0))
    assert path.read_bytes() == (data.encode() if isinstance(data, str) else data)
    assert list(tmp_path.iterdir()) == [path]


def test_an_output_is_continued_only_with_what_it_was_made_of(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with open_output(path, {"seed": 0, "kinds": ("a", "b")}) as out:
        assert out.summary is None
        path.write_text("half")
    with (
        pytest.raises(ConfigError, match=r"out was made with seed 0, not 1; .*--overwrite"),
        open_output(path, {"seed": 1, "kinds": ("a", "b")}),
    ):
        pass
    with open_output(path, {"seed": 0, "kinds": ("a", "b")}) as out:
        assert out.summary is None
        out.finish({"count": 3})
    with open_output(path, {"seed": 0, "kinds": ("a", "b")}) as out:
        assert out.summary == {"count": 3}
    with pytest.raises(ConfigError, match="made by another command"), open_output(path, {"seed": 0, "tasks": "a"}):
        pass
    with open_output(path, {"seed": 1}, overwrite=True) as out:
        assert out.summary is None


def test_a_file_of_somebody_else_is_left_alone_and_an_empty_one_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with (
        pytest.raises(ConfigError, match=r"mine exists already and mine.run.json does not say how"),
        open_output(tmp_path / "mine", {}),
    ):
        pass
    assert (tmp_path / "mine").read_text() == "x"
    (tmp_path / "empty").touch()
    with open_output(tmp_path / "empty", {}) as out:
        assert out.summary is None
        out.finish({"tasks": 0})
    with open_output(tmp_path / "empty", {}) as out:  # nothing was to be written
        assert out.summary == {"tasks": 0}
