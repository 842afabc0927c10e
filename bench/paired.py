"""What tracing costs in this version, as a multiple of what it costs in another one.

    git archive REVISION src | tar -x -C FOLDER
    python bench/paired.py FOLDER/src [--rounds N] [--cruxeval FILE]

Both versions run the same programs in turns: old, new, new, old, ... A figure is the median, over the rounds, of the
CPU time of all runs of the traces in the new version divided by that in the old one; the machine may be busy.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from coderlplus.records import CallInput, Limits, StdioInput
from coderlplus.tracing import TraceRequest, trace_many
from tracing import PROGRAMS, STEPS, TINY, Metered

WAYS = ("final", "binding", "official", "steps")
SOURCE = Path(__file__).parents[1] / "src"
SAMPLE = 60
"""Programs of CRUXEval, the first ones."""


def all_requests(cruxeval: Path | None) -> dict[str, list[TraceRequest]]:
    """Row of the table → what is traced for it."""
    limits = Limits(cpu_s=20)
    rows = {
        name: [TraceRequest(program=template.replace("SIZE", str(size)), input=StdioInput(""), limits=limits)]
        for name, (template, size, _) in PROGRAMS.items()
    }
    rows["a tiny program"] = [TraceRequest(program=TINY, input=StdioInput("1\n"))] * 30
    if cruxeval is not None:
        samples = [json.loads(line) for line in cruxeval.read_text().splitlines()[:SAMPLE]]
        rows[f"CRUXEval, {SAMPLE} programs"] = [
            TraceRequest(program=f"{row['code']}\ndef call(): return f({row['input']})", input=CallInput("call"))
            for row in samples
        ]
    return rows


def serve(cruxeval: Path | None) -> None:
    """Trace what is asked for on standard input, and print the CPU seconds."""
    rows = all_requests(cruxeval)
    with Metered(workers=1) as sandbox:
        for line in sys.stdin:
            name, way = json.loads(line)
            steps, semantics = (STEPS, "final") if way == "steps" else (0, way)
            sandbox.cpu_s = 0.0
            trace_many(
                sandbox,
                [
                    TraceRequest(
                        program=row.program, input=row.input, limits=row.limits, semantics=semantics, max_steps=steps
                    )
                    for row in rows[name]
                ],
            )
            print(sandbox.cpu_s, flush=True)


def start(source: Path, cruxeval: Path | None) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, str(source), "--serve"]
    return subprocess.Popen(
        command if cruxeval is None else [*command, "--cruxeval", str(cruxeval)],
        env={**os.environ, "PYTHONPATH": str(source.resolve())},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def seconds(version: subprocess.Popen[str], name: str, way: str) -> float:
    assert version.stdin is not None
    assert version.stdout is not None
    version.stdin.write(json.dumps([name, way]) + "\n")
    version.stdin.flush()
    return float(version.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="folder with the other version of the package `coderlplus`")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cruxeval", type=Path, help="cruxeval.jsonl: some of its programs count as one more")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.cruxeval)
        return
    if not (arguments.old / "coderlplus").is_dir():
        raise SystemExit(f"{arguments.old} has no folder coderlplus; give the src folder of another version")
    old, new = start(arguments.old, arguments.cruxeval), start(SOURCE, arguments.cruxeval)
    console = Console(width=120)
    table = Table("program", *WAYS, title=f"CPU time, new / old, median of {arguments.rounds} pairs")
    with old, new, console.status("measuring") as status:
        for name in all_requests(arguments.cruxeval):
            cells = []
            for way in WAYS:
                status.update(f"{name}, {way}")
                ratios = []
                for turn in range(arguments.rounds + 1):
                    took = {
                        version: seconds(version, name, way) for version in ((old, new) if turn % 2 else (new, old))
                    }
                    ratios.append(took[new] / took[old])
                cells.append(f"{statistics.median(ratios[1:]):.2f}")  # the first turn loads the fork servers
            table.add_row(name, *cells)
        for version in (old, new):
            assert version.stdin is not None
            version.stdin.close()
    console.print(table)


if __name__ == "__main__":
    main()
