"""Load on `coderlplus serve` over loopback, against the judge as a library on the same programs.

    python bench/serve.py [--programs 20000] [--clients 64] [--workers 2] [--peer http://localhost:8080]

Programs read a number and print twice of it; one in ten is hostile (endless, exits, floods, forges, exhausts memory).
Every program is another text. Counts what is lost and what is answered wrongly, and prints throughput and latency.
Ends with exit code 1 if `coderlplus serve` or the library lost a program or answered one wrongly.

The original server runs from a checkout with `isolation: none` where no container engine is to be had: then it has no
limit of memory that a program cannot pass, and leaves processes behind.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from coderlplus.judge import Judge
from coderlplus.records import Limits, Problem, Rollout, StdioTest
from coderlplus.sandbox import Sandbox

LIMITS = Limits(cpu_s=0.5, wall_s=2, memory_mb=128)
HOSTILE = (
    "while True: pass",
    "import os\nos._exit(3)",
    "print('x' * (8 << 20))",
    "import os\nfor fd in range(3, 20):\n    try: os.write(fd, b'{\"exit_code\": 0}\\n')\n    except OSError: pass\n"
    "os._exit(1)",
    "x = [0] * (1 << 28)",
    "raise SystemExit(4)",
    "import threading\nfor _ in range(9): threading.Thread(target=lambda: 1 / 0).start()\n1 / 0",
)


@dataclass(frozen=True)
class Program:
    code: str
    stdin: str
    stdout: str
    is_right: bool


def programs(count: int) -> list[Program]:
    made = []
    for number in range(count):
        is_right = number % 10 != 0
        body = "print(int(input()) * 2)" if is_right else HOSTILE[number // 10 % len(HOSTILE)]
        made.append(Program(f"# {number}\n{body}", f"{number}\n", f"{2 * number}\n", is_right))
    return made


async def over_http(url: str, wanted: list[Program], clients: int) -> tuple[int, int, list[float]]:
    """Programs lost, programs answered wrongly, seconds of each request."""
    left = iter(wanted)
    lost, wrong, seconds = 0, 0, []

    async def client() -> None:
        nonlocal lost, wrong
        async with httpx.AsyncClient(timeout=120) as session:
            for program in left:
                body = {"language": "python", "code": program.code, "stdin": program.stdin}
                body |= {"run_timeout": LIMITS.cpu_s, "memory_limit_MB": LIMITS.memory_mb}
                began = time.perf_counter()
                answer = await session.post(f"{url}/run_code", json=body)
                while answer.status_code == 503:
                    await asyncio.sleep(float(answer.headers["retry-after"]))
                    answer = await session.post(f"{url}/run_code", json=body)
                seconds.append(time.perf_counter() - began)
                if answer.status_code != 200 or answer.json()["run_result"] is None:
                    lost += 1
                    continue
                data = answer.json()
                is_right = data["status"] == "Success" and data["run_result"]["stdout"] == program.stdout
                wrong += is_right != program.is_right

    await asyncio.gather(*(client() for _ in range(clients)))
    return lost, wrong, seconds


def as_library(wanted: list[Program], workers: int) -> tuple[int, float]:
    """Programs judged wrongly, seconds."""
    pairs = []
    for number, program in enumerate(wanted):
        tests = (StdioTest(program.stdin, program.stdout),)
        problem = Problem(problem_id=str(number), statement="", tests=tests, limits=LIMITS)
        pairs.append((problem, Rollout(rollout_id=str(number), problem_id=str(number), program=program.code)))
    with Sandbox(workers) as sandbox:
        began = time.perf_counter()
        verdicts = Judge(sandbox).judge_many(pairs)
        took = time.perf_counter() - began
    return sum(verdict.passed != program.is_right for verdict, program in zip(verdicts, wanted, strict=True)), took


def row(name: str, counts: tuple[int, int], count: int, took_s: float, seconds: list[float] | None = None) -> str:
    lost, wrong = counts
    line = f"{name:14} {lost:6d} {wrong:6d} {count / took_s:11.0f}"
    if seconds:
        p50, p99 = (statistics.quantiles(seconds, n=100)[place] for place in (49, 98))
        line += f" {p50:7.3f} {p99:7.3f}"
    return line


def load(name: str, url: str, wanted: list[Program], clients: int) -> int:
    """Print the row of one server. Returns the programs that were lost or answered wrongly."""
    began = time.perf_counter()
    lost, wrong, seconds = asyncio.run(over_http(url, wanted, clients))
    print(row(name, (lost, wrong), len(wanted), time.perf_counter() - began, seconds), flush=True)
    return lost + wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--programs", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--peer", metavar="URL", help="also a running SandboxFusion server, such as http://localhost:8080"
    )
    options = parser.parse_args()
    wanted = programs(options.programs)
    print(f"{options.programs:,} programs, one in ten hostile, {options.workers} workers, {options.clients} clients")
    print(f"{'':14} {'lost':>6} {'wrong':>6} {'programs/s':>11} {'p50 s':>7} {'p99 s':>7}", flush=True)
    coderlplus = str(Path(sys.executable).with_name("coderlplus"))
    command = [coderlplus, "serve", "--port", "0", "--workers", str(options.workers)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        found = re.search(r"http://\S+", server.stderr.readline())
        assert found is not None
        failures = load("coderlplus", found.group(), wanted, options.clients)
    finally:
        server.terminate()
        server.wait(60)
    wrong, took_s = as_library(wanted, options.workers)
    print(row("as a library", (0, wrong), len(wanted), took_s), flush=True)
    if options.peer:
        load("SandboxFusion", options.peer.rstrip("/"), wanted, options.clients)
    sys.exit(1 if failures or wrong else 0)


if __name__ == "__main__":
    main()
