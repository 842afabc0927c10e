"""No hostile program gets a pass, touches the host, or disturbs the judging of the next one."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coderlplus.records import CallTest, CheckTest, StdioTest, Test, Verdict

TESTS: dict[str, tuple[str | None, Test]] = {
    "stdio": (None, StdioTest("3\n", "6\n")),
    "call": ("Solution().f", CallTest((3,), 6)),
    "check": ("f", CheckTest("assert f(3) == 6\nassert f([1]) == [1, 1]")),
    "planned": ("f", CheckTest("for x in [3, [1]]:\n    y = 2 * x\n    assert y == f(x)")),
    "examined": ("f", CheckTest("import operator\nfor x in [3, [1]]:\n    assert operator.eq(f(x), 2 * x)")),
}

PROGRAMS = [
    part.partition("\n")[::2] for part in Path(__file__).with_name("programs.txt").read_text().split("#### ")[1:]
]
"""Pairs (`mode: name`, program); `@CANARY@` is a folder and `@PORT@` a listener that no program may touch."""
HONEST = {name: program for name, program in PROGRAMS if name.startswith("honest: ")}
HOSTILE = {name: program for name, program in PROGRAMS if name not in HONEST}
HOSTILE |= {
    name.replace("check", kind, 1): program
    for name, program in PROGRAMS
    for kind in ("planned", "examined")
    if name.startswith("check: ")
}
HOSTILE["stdio: NUL in source"] = "print(6)\0"
HOSTILE["stdio: deep source"] = f"x = {'-' * 3000}1"
HOSTILE["stdio: random bytes"] = random.Random(0).randbytes(1000).decode("latin-1")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, socket.socket]]:
    """A folder, a secret and a listener that no program may touch."""
    folder = tmp_path_factory.mktemp("canary")
    (folder / "c.txt").write_text("intact")
    (folder / "secret").write_text("6")
    os.environ["CODERLPLUS_TEST_SECRET"] = os.environ["H_SECRET"] = "6"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield folder, listener
    del os.environ["CODERLPLUS_TEST_SECRET"], os.environ["H_SECRET"]


def attack(verdict_on: Callable[..., Verdict], host: tuple[Path, socket.socket], mode: str, program: str) -> Verdict:
    """The verdict, after making sure that nothing happened to the host and that the next program is judged right."""
    folder, listener = host
    entry_point, test = TESTS[mode]
    program = program.replace("@CANARY@", str(folder)).replace("@PORT@", str(listener.getsockname()[1]))
    verdict = verdict_on(program, test, entry_point=entry_point)
    assert sorted(path.name for path in folder.iterdir()) == ["c.txt", "secret"]
    assert (folder / "c.txt").read_text() == "intact"
    assert (folder / "c.txt").stat().st_mode & 0o777 == 0o644
    assert not Path("/tmp/coderlplus-canary").exists()
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert verdict_on("print(int(input()) * 2)", TESTS["stdio"][1], entry_point=None).passed
    return verdict


@pytest.mark.parametrize("name", HOSTILE)
def test_attack_gets_no_pass_and_no_hold_of_the_host(
    verdict_on: Callable[..., Verdict], host: tuple[Path, socket.socket], name: str
) -> None:
    verdict = attack(verdict_on, host, name.partition(":")[0], HOSTILE[name])
    assert not verdict.passed
    assert verdict.verdict != "sandbox_fault"
    assert "in_process_check" not in verdict.isolation


@pytest.mark.parametrize("name", HONEST)
def test_honest_idiom_passes(verdict_on: Callable[..., Verdict], name: str) -> None:
    verdict = verdict_on(HONEST[name], StdioTest("3\n", "6\n"), StdioTest("4\n", "8\n"), entry_point=None)
    assert verdict.passed, verdict.first_failure


def test_recorded_attacks(shared: Path, verdict_on: Callable[..., Verdict], host: tuple[Path, socket.socket]) -> None:
    for path in sorted((shared / "attacks").glob("*.py")):
        program = path.read_text()
        verdict = attack(
            verdict_on, host, "call" if "# mode: call" in program else "stdio", program.replace("45999", "@PORT@")
        )
        assert verdict.passed == ("honest" in path.name), (path.name, verdict.first_failure)
        assert verdict.verdict != "sandbox_fault", path.name
