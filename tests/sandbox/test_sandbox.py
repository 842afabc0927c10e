"""The pool and its fork servers: limits, isolation, faults, and nothing left behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coderlplus.errors import SandboxError
from coderlplus.records import Limits
from coderlplus.sandbox import LAYERS, Job, Outcome, Sandbox
from coderlplus.sandbox.forkserver import ForkServer
from coderlplus.sandbox.protocol import run_job

STDIO = "coderlplus.judge.guest:run_stdio"
SHORT = Limits(cpu_s=1, wall_s=3, memory_mb=128, output_kb=64)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(workers=2) as sandbox:
        yield sandbox


def script(program: str, limits: Limits = SHORT, **fields: int) -> Job:
    return Job(guest=STDIO, payload={"setup_code": "", "program": program, "stdins": [""]}, limits=limits, **fields)  # type: ignore[arg-type]


def run(sandbox: Sandbox, program: str, **fields: int) -> Outcome:
    return sandbox.run([script(program, **fields)])[0]


def test_all_layers_are_in_force(sandbox: Sandbox) -> None:
    assert set(LAYERS) <= set(sandbox.isolation)
    assert run(sandbox, "").isolation == sandbox.isolation


@pytest.mark.parametrize(
    ("program", "ending"),
    [
        ("print(1)", "returned"),
        ("import os; os._exit(3)", "exited"),
        ("import os; os.abort()", "signal"),
        ("while True: pass", "time_limit"),
        ("import time; time.sleep(60)", "time_limit"),
        ("x = []\nwhile True:\n    try: x.append(bytearray(10**6))\n    except MemoryError: break", "memory_limit"),
        ("while True: print('x' * 9999)", "output_limit"),
    ],
)
def test_ending(sandbox: Sandbox, program: str, ending: str) -> None:
    assert run(sandbox, program).ending == ending


def test_the_memory_limit_holds_for_an_owner_with_much_memory() -> None:
    mine = bytearray(1024 << 20)
    with Sandbox(workers=1) as sandbox:
        assert (
            run(
                sandbox, "x = []\nwhile True:\n    try: x.append(bytearray(10**6))\n    except MemoryError: break"
            ).ending
            == "memory_limit"
        )
    assert len(mine) == 1024 << 20


def test_outcomes_are_in_the_order_of_the_jobs(sandbox: Sandbox) -> None:
    outcomes = sandbox.run([script(f"print({index})") for index in range(20)])
    assert [outcome.stdout for outcome in outcomes] == [b"%d\n" % index for index in range(20)]


def test_jobs_that_wait_hold_up_nobody_and_the_workers_in_their_place_go_again() -> None:
    with Sandbox(workers=1) as sandbox:
        waiting = [sandbox.call(run_job, script("import time; time.sleep(60)", Limits(wall_s=10))) for _ in range(2)]
        assert sandbox.call(run_job, script("print(1)")).result().stdout == b"1\n"
        assert not any(future.done() for future in waiting)
        assert {future.result().ending for future in waiting} == {"time_limit"}
        deadline = time.monotonic() + 20
        while len(sandbox.processes()) > 1:
            assert time.monotonic() < deadline
            assert run(sandbox, "print(1)").stdout == b"1\n"


def test_threads_share_a_sandbox(sandbox: Sandbox) -> None:
    results: dict[int, list[bytes]] = {}

    def work(number: int) -> None:
        results[number] = [outcome.stdout for outcome in sandbox.run([script(f"print({number})")] * 5)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: [b"%d\n" % number] * 5 for number in range(4)}


def test_runs_are_repeatable_and_depend_on_the_hash_seed(sandbox: Sandbox) -> None:
    program = "import random\nprint(hash('a'), random.random())"
    outputs = [run(sandbox, program).stdout for _ in range(3)]
    assert len(set(outputs)) == 1
    assert run(sandbox, program, hash_seed=1).stdout != outputs[0]


def test_a_killed_fork_server_is_replaced_and_the_job_run_again() -> None:
    with Sandbox(workers=1) as sandbox:
        (before,) = sandbox.processes()
        os.kill(before, signal.SIGKILL)
        assert run(sandbox, "print(1)").stdout == b"1\n"
        assert sandbox.processes() != [before]


def test_a_fork_server_killed_during_a_job_is_replaced() -> None:
    with Sandbox(workers=1) as sandbox:
        future = sandbox.call(run_job, script("import sys\nfor _ in range(10**7): pass\nprint(1)", Limits()))
        os.kill(sandbox.processes()[0], signal.SIGKILL)
        assert future.result().stdout == b"1\n"


def test_a_lasting_fault_is_an_outcome_of_its_own(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: ForkServer, job: Job, on_waiting: object) -> Outcome:
        raise EOFError("gone")

    monkeypatch.setattr(ForkServer, "run", broken)
    outcome = run(sandbox, "print(1)")
    assert (outcome.ending, outcome.detail) == ("fault", "EOFError: gone")


def test_nothing_is_left_behind() -> None:
    def descriptors() -> set[str]:
        return {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}

    before, threads = descriptors(), threading.active_count()
    with Sandbox(workers=2) as sandbox:
        sandbox.run([script("while True: pass"), script("print(1)"), script("import os; os.closerange(0, 99)")])
        processes = sandbox.processes()
    assert len(processes) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in processes)
    assert descriptors() <= before
    assert threading.active_count() == threads


def test_closing_ends_what_runs() -> None:
    sandbox = Sandbox(workers=1)
    future = sandbox.call(run_job, script("import time; time.sleep(60)", Limits(wall_s=100)))
    sandbox.close()
    assert future.cancelled() or future.result().ending == "fault"
    with pytest.raises(SandboxError, match="closed"):
        sandbox.call(run_job, script(""))


def test_a_sandbox_does_not_survive_a_fork(sandbox: Sandbox) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            sandbox.run([script("")])
        except SandboxError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_an_unknown_layer_is_an_error() -> None:
    with pytest.raises(SandboxError, match="unknown layer of isolation 'landlok'"):
        Sandbox(layers=["landlok"])


def test_a_missing_layer_is_an_error_unless_allowed_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    start = ForkServer.__init__

    def without_landlock(self: ForkServer, layers: list[str], hash_seed: int, probe: bool) -> None:
        start(self, [layer for layer in layers if layer != "landlock"], hash_seed, probe)
        self.missing = {"landlock": "Function not implemented"}

    monkeypatch.setattr(ForkServer, "__init__", without_landlock)
    with pytest.raises(
        SandboxError,
        match="landlock \\(Function not implemented\\); to run without it, set CODERLPLUS_ALLOW_MISSING=landlock ",
    ):
        Sandbox(workers=1)
    with Sandbox(workers=1, allow_missing=["landlock"]) as sandbox:
        assert "landlock" not in sandbox.isolation
        assert "landlock" in sandbox.missing
    monkeypatch.setenv("CODERLPLUS_ALLOW_MISSING", "landlock, namespaces")
    with Sandbox(workers=1) as sandbox:
        assert "landlock" in sandbox.missing
    monkeypatch.setenv("CODERLPLUS_ALLOW_MISSING", "landlok")
    with pytest.raises(SandboxError, match="unknown layer of isolation 'landlok' in CODERLPLUS_ALLOW_MISSING"):
        Sandbox(workers=1)


def test_fewer_layers_are_named_in_the_outcome() -> None:
    with Sandbox(workers=1, layers=["rlimits", "seccomp"]) as sandbox:
        assert run(sandbox, "").isolation == ("rlimits", "seccomp")


def test_random_bytes_as_programs_are_programs(sandbox: Sandbox) -> None:
    programs = [os.urandom(200).decode("latin-1") for _ in range(30)] + [
        "\ud800",
        "\0",
        "(" * 5000,
        "x = " + "[" * 90 + "]" * 90,
    ]
    assert {outcome.ending for outcome in sandbox.run([script(program) for program in programs])} <= {
        "returned",
        "exited",
    }


def test_installed_packages_can_be_imported(sandbox: Sandbox) -> None:
    assert run(sandbox, "import yaml\nprint(yaml.safe_load('1'))").stdout == b"1\n"


def test_our_own_modules_are_out_of_reach(sandbox: Sandbox) -> None:
    assert run(sandbox, "import sys\nprint([name for name in sys.modules if 'coderlplus' in name])").stdout == b"[]\n"
