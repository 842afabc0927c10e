"""What the commands cost for 1, 10 and 100 times the work, each run in a process of its own on generated data.

    python bench/scale.py --out FOLDER [--commands judge,eval] [--factors 1,10,100] [--kept]

Prints a table with the time, the CPU time of the command with all that it starts, the peak memory of the command's
process, that of all its processes together (sampled; shared pages count in proportion), and the largest file; then how
each grows: the exponent by least squares, the one of the last step, and bytes of memory an item in the last step.
Finished rows are in FOLDER/rows.json and are not measured again. Data of a run is removed after it (`--kept`: not).

`killed` ends `judge` by SIGKILL five times at random places and counts programs that then have no verdict or more than
one, and lines that changed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from judge_ways import descendants
from scale_data import COMMANDS, PROBLEMS, problem, programs

KILLS = 5
COMMAND = """
import sys
from pathlib import Path
try:
    if sys.argv[1] == "as-completed":
        sys.path.insert(0, sys.argv[2])
        import scale
        scale.as_completed(int(sys.argv[3]), int(sys.argv[4]))
    else:
        from coderlplus.cli import main
        main()
finally:
    status = Path("/proc/self/status").read_text()
    Path("peak").write_text(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def as_completed(count: int, seed: int) -> None:
    """Stream programs through `judge_as_completed`, keeping nothing."""
    from coderlplus import Judge, Problem, Rollout, open_sandbox

    problems = [Problem.from_json(problem(number)) for number in range(PROBLEMS)]
    pairs = (
        (problems[number], Rollout(rollout_id=f"r{place}", problem_id=f"p{number}", program=text))
        for place, (number, text) in enumerate(programs(count, 500, seed, 0.3))
    )
    with open_sandbox() as sandbox:
        done = sum(1 for _ in Judge(sandbox).judge_as_completed(pairs))
    assert done == count


def tree_mb(root: int) -> float:
    """The memory of a process and all its descendants; of pages that several share, each has its part."""
    total = 0
    for pid in (root, *descendants(root)):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return total / 1024


def measured(command: str, arguments: Sequence[str], folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Run a command in its folder and say what it took."""
    if command == "as-completed":
        arguments = ["as-completed", str(Path(__file__).parent), str(count), str(seed)]
    peak, ended = [0.0], threading.Event()
    began = time.perf_counter()
    with (folder / "stdout").open("w") as out, (folder / "stderr").open("w") as err:
        process = subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], cwd=folder, stdout=out, stderr=err)

        def watch() -> None:
            while not ended.wait(0.5):
                peak[0] = max(peak[0], tree_mb(process.pid))

        watching = threading.Thread(target=watch)
        watching.start()
        _, status, usage = os.wait4(process.pid, 0)
        ended.set()
        watching.join()
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed:\n{(folder / 'stderr').read_text()[-2000:]}")
    return {
        "seconds": round(seconds, 2),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "memory_mb": round(int((folder / "peak").read_text()) / 1024, 1),
        "tree_mb": round(peak[0], 1),
        "file_mb": round(max(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6, 1),
    }


def killed(arguments: Sequence[str], folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Kill a command at random places, resume it each time, and count what was lost, made twice or changed."""
    rng = random.Random(seed)
    out = folder / "out.jsonl"
    changed = 0
    places = sorted(rng.randrange(count) for _ in range(KILLS))
    before = b""
    began = time.perf_counter()
    for place in [*places, None]:
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        seen, lines = len(before), before.count(b"\n")
        while place is not None and lines < place and process.poll() is None:
            time.sleep(0.002)
            new = _from(out, seen)
            seen, lines = seen + len(new), lines + new.count(b"\n")
        if place is not None:
            process.send_signal(signal.SIGKILL)
        said = process.communicate()[1].decode()
        if place is None and process.returncode:
            raise SystemExit(f"the resumed command failed:\n{said[-2000:]}")
        now = out.read_bytes() if out.exists() else b""
        changed += not now.startswith(before)
        before = now[: now.rfind(b"\n") + 1]
    verdicts = Counter(json.loads(line)["rollout_id"] for line in before.splitlines())
    return {
        "seconds": round(time.perf_counter() - began, 2),
        "killed_at": places,
        "lost": count - len(verdicts),
        "twice": sum(number > 1 for number in verdicts.values()),
        "changed": changed,
    }


def _from(path: Path, place: int) -> bytes:
    """What a file has behind a place."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(place)
        return file.read()
    return b""


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The exponent of growth, by least squares over logarithms."""
    xs, ys = ([math.log(value) for value in values] for values in zip(*points, strict=True))
    return statistics.linear_regression(xs, ys).slope


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows, and how each command grows with them."""
    kinds = ("seconds", "cpu_s", "memory_mb")
    lines = [
        "| command | × | items | s | CPU s | memory MB | all processes MB | largest file MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    growth = [
        "| command | time | CPU | memory | last step: time | CPU | memory | bytes an item |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in COMMANDS:
        mine = sorted((row for row in rows if row["command"] == name), key=lambda row: row["items"])
        if name == "killed":
            for row in mine:
                print(f"killed, {row['items']:,} programs: {row}")
            continue
        for row in mine:
            numbers = [f"{row[key]:,.1f}" for key in ("seconds", "cpu_s", "memory_mb", "tree_mb", "file_mb")]
            lines.append(f"| {name} | {row['factor']} | {row['items']:,} | {' | '.join(numbers)} |")
        if len(mine) > 1:
            first, last = mine[-2:]
            whole = [slope([(row["items"], row[key]) for row in mine]) for key in kinds]
            step = [slope([(row["items"], row[key]) for row in (first, last)]) for key in kinds]
            each = (last["memory_mb"] - first["memory_mb"]) * 2**20 / (last["items"] - first["items"])
            growth.append(f"| {name} | {' | '.join(f'{value:.2f}' for value in (*whole, *step))} | {each:,.0f} |")
    return "\n".join([*lines, "", *growth])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--commands", default=",".join(COMMANDS), help=f"of {', '.join(COMMANDS)}")
    parser.add_argument("--factors", default="1,10,100")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kept", action="store_true", help="leave data and output of each run")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "rows.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    for name in options.commands.split(","):
        if name not in COMMANDS:
            parser.error(f"unknown command {name!r}; the commands are {', '.join(COMMANDS)}")
        base, what, prepare = COMMANDS[name]
        for factor in map(int, options.factors.split(",")):
            if any((row["command"], row["factor"]) == (name, factor) for row in rows):
                continue
            count = base * factor
            folder = (options.out / f"{name}-{factor}").resolve()
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            print(f"{name}: {count:,} {what}", file=sys.stderr, flush=True)
            arguments = prepare(folder, count, options.seed)
            if name == "killed":
                found = killed(arguments, folder, count, options.seed)
            else:
                found = measured(name, arguments, folder, count, options.seed)
            rows.append({"command": name, "factor": factor, "items": count, **found})
            path.write_text(json.dumps(rows, indent=1) + "\n")
            if not options.kept:
                shutil.rmtree(folder)
    print(table(rows))
    sys.exit(any(row.get("lost") or row.get("twice") or row.get("changed") for row in rows))


if __name__ == "__main__":
    main()
