"""Are traces the same on every Python? Traces CRUXEval under each interpreter given and compares variables, values,
outputs and endings.

    python bench/pythons.py CRUXEVAL PYTHON [PYTHON ...]

Each PYTHON is an interpreter that can import coderlplus (its base dependencies are enough). Names the programs that
differ from the first interpreter's and exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_TRACE = """
import json, sys
from coderlplus.records import CallInput
from coderlplus.sandbox import Sandbox, values
from coderlplus.tracing import TraceRequest, trace_many
rows = [json.loads(line) for line in open(sys.argv[1])]
requests = [TraceRequest(program=f"{row['code']}\\ndef call(): return f({row['input']})", input=CallInput("call"))
            for row in rows]
with Sandbox() as sandbox:
    for row, trace in zip(rows, trace_many(sandbox, requests)):
        right = values.equal(trace.value, values.encode(eval(row["output"])))
        ending = [trace.ending.kind, trace.ending.type, trace.ending.line]
        print(json.dumps([row["id"], right, trace.deterministic, ending, trace.output, trace.value, trace.variables]))
"""


def traced(python: str, cruxeval: Path) -> list[list[Any]]:
    """[id, whether the recorded output came, …] of each program under one interpreter."""
    result = subprocess.run([python, "-c", _TRACE, str(cruxeval)], capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"{python} failed: {result.stderr.strip().splitlines()[-1]}")
    return [json.loads(line) for line in result.stdout.splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cruxeval", type=Path)
    parser.add_argument("pythons", nargs="+")
    arguments = parser.parse_args()
    first: list[list[Any]] = []
    failed = False
    for python in arguments.pythons:
        rows = traced(python, arguments.cruxeval)
        first = first or rows
        different = [row[0] for row, other in zip(rows, first, strict=True) if json.dumps(row) != json.dumps(other)]
        wrong = [row[0] for row in rows if not row[1]]
        print(
            f"{python}: {len(rows) - len(wrong)} of {len(rows)} recorded outputs, {len(rows) - len(different)} "
            f"traces as under {arguments.pythons[0]}"
        )
        for name in different:
            print(f"  {name} differs")
        failed |= bool(different or wrong)
    sys.exit(failed)


if __name__ == "__main__":
    main()
