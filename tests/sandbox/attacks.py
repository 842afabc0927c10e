"""Runs hostile and honest programs through the judge in one of the settings and prints what came of them as JSON; a
script for `test_settings.py`.

    python attacks.py SETTING PROFILE-OR-EMPTY FILE ...

A file is a list of programs under lines `#### mode: name`, or one program of the maintainers' collection. After each
program an honest one must pass, no fork server may have failed or have children left, and the host must be as it was.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import settings

from coderlplus.judge import Judge
from coderlplus.records import CallTest, CheckTest, Limits, Problem, Rollout, StdioTest, Test, Verdict
from coderlplus.sandbox import Outcome, Sandbox
from coderlplus.sandbox.forkserver import ForkServer

TESTS: dict[str, tuple[str | None, Test]] = {
    "stdio": (None, StdioTest("3\n", "6\n")),
    "secret": (None, StdioTest("3695921\n", "7391842\n")),
    "call": ("Solution().f", CallTest((3,), 6)),
    "check": ("f", CheckTest("assert f(3) == 6\nassert f([1]) == [1, 1]")),
    "honest": (None, StdioTest("3\n", "6\n")),
}
SHORT = Limits(cpu_s=0.1, wall_s=0.5, memory_mb=128, output_kb=64)
ROOMY = Limits(cpu_s=10, wall_s=600, memory_mb=256)


def programs(path: Path) -> list[tuple[str, str, str]]:
    """Mode, name and text."""
    text = path.read_text()
    if path.suffix == ".txt":
        parts = [part.partition("\n") for part in text.split("#### ")[1:]]
        return [(head.partition(": ")[0], head, body) for head, _, body in parts]
    mode = "honest" if "honest" in path.name and "mode: stdio" in text else "call" if "mode: call" in text else "stdio"
    return [(mode, path.name, text.replace("45999", "@PORT@"))]


def descendants(root: int) -> set[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def leftovers(sandbox: Sandbox) -> list[str]:
    """Processes below the fork servers, which are two each where there are namespaces. A child that was answered for
    has been waited for."""
    each = 2 if "namespaces" in sandbox.isolation else 1
    return [
        f"children that stayed: {found}" for root in sandbox.processes() if len(found := descendants(root)) != each
    ]


class Host:
    """What no program may touch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in (("c.txt", "intact"), ("secret", "6")):
            (folder / name).write_text(text)
            (folder / name).chmod(0o644)
        self.before = self.state()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.abstract = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.abstract.bind("\0coderlplus-canary")
        for each in (self.listener, self.abstract):
            each.setblocking(False)
        secrets = {"CODERLPLUS_TEST_SECRET": "6", "H_SECRET": "6"}
        os.environ.update(secrets)
        self.bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    def state(self) -> list[tuple[str, int, int, int]]:
        entries = [(path.name, path.lstat()) for path in sorted(self.folder.iterdir())]
        return [(name, stat.st_mode, stat.st_mtime_ns, stat.st_size) for name, stat in entries]

    def fill_in(self, program: str) -> str:
        names = {
            "CANARY": self.folder,
            "PORT": self.listener.getsockname()[1],
            "PID": self.bystander.pid,
            "PARENT": os.getpid(),
        }
        for name, value in names.items():
            program = program.replace(f"@{name}@", str(value))
        return program

    def effects(self) -> list[str]:
        found = [] if self.state() == self.before else ["the folder was changed"]
        for name, receive in (("network", self.listener.accept), ("abstract socket", lambda: self.abstract.recv(9))):
            try:
                receive()
                found.append(f"something came through the {name}")
            except BlockingIOError:
                pass
        status = Path(f"/proc/{self.bystander.pid}/stat").read_text().rpartition(")")[2].split()[0]
        if self.bystander.poll() is not None or status not in "SRD":
            found.append("another process was killed or stopped")
        for folder in (
            "/tmp",
            "/var/tmp",
            "/dev/shm",
            "/run",
            "/",
            "/dev",
            "/dev/mqueue",
            str(Path.home()),
            str(Path(os.__file__).parent),
        ):
            if Path(folder).is_dir() and os.access(folder, os.R_OK):
                found += [f"{path} was made" for path in Path(folder).glob("coderlplus-canary*")]
        return found


def reporting(run: Callable[..., Outcome], found: list[str]) -> Callable[..., Outcome]:
    """`ForkServer.run`, with a note of each failure: the pool replaces a fork server that fails and goes on."""

    def run_and_report(*arguments: Any) -> Outcome:
        try:
            outcome = run(*arguments)
        except (OSError, EOFError, ValueError) as error:
            found.append(f"a fork server failed: {error!r}")
            raise
        found.extend(
            f"fault: {each.detail}" for each in (outcome, outcome.peer) if each is not None and each.ending == "fault"
        )
        return outcome

    return run_and_report


def judge_all(
    work: queue.SimpleQueue[tuple[str, str, str]],
    host: Host,
    report: dict[str, list[str]],
    isolation: set[tuple[str, ...]],
) -> None:
    def verdict_on(mode: str, program: str, limits: Limits) -> Verdict:
        entry_point, test = TESTS[mode]
        problem = Problem(problem_id="p", statement="", tests=(test,), entry_point=entry_point, limits=limits)
        return judge.judge(problem, Rollout(rollout_id="r", problem_id="p", program=program))

    with Sandbox(workers=1) as sandbox:
        judge = Judge(sandbox)
        while True:
            try:
                mode, name, program = work.get_nowait()
            except queue.Empty:
                break
            honest = "honest" in name
            verdict = verdict_on(mode, host.fill_in(program), ROOMY if honest else SHORT)
            report["verdicts"].append(f"{name}: {verdict.verdict}")
            if verdict.passed != honest or verdict.verdict == "sandbox_fault":
                report["wrong"].append(f"{name}: {verdict.verdict} {verdict.first_failure}")
            if "in_process_check" in verdict.isolation:
                report["wrong"].append(f"{name}: judged in the weaker way")
            if not verdict_on("stdio", "print(int(input()) * 2)", ROOMY).passed:
                report["after"].append(f"{name}: the next program did not pass")
            report["after"] += [f"{name}: {problem}" for problem in leftovers(sandbox)]
            report["after"] += [f"{name}: {effect}" for effect in host.effects()]
            isolation |= {verdict.isolation}


def main() -> None:
    setting, profile, *files = sys.argv[1:]
    work: queue.SimpleQueue[tuple[str, str, str]] = queue.SimpleQueue()
    for file in files:
        for item in programs(Path(file)):
            work.put(item)
    settings.enter(setting, Path(profile) if profile else None)
    report: dict[str, list[str]] = {"verdicts": [], "wrong": [], "after": []}
    isolation: set[tuple[str, ...]] = set()
    ForkServer.run = reporting(ForkServer.run, report["after"])  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        host = Host(Path(folder))
        fds = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208
        with ThreadPoolExecutor(4) as threads:
            for done in [threads.submit(judge_all, work, host, report, isolation) for _ in range(4)]:
                done.result()
        left = descendants(os.getpid()) - {os.getpid(), host.bystander.pid}
        if left or sorted(os.listdir("/proc/self/fd")) != fds:  # noqa: PTH208
            report["after"].append(f"left behind: processes {left}, or descriptors")
        host.bystander.kill()
        host.bystander.wait()
    print(json.dumps(report | {"isolation": [list(layers) for layers in isolation], "uid": os.getuid()}))


if __name__ == "__main__":
    main()
