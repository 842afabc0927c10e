"""Trace a program and read the trace: what it returned, what its variables held, step by step.

python examples/trace_program.py
"""

from __future__ import annotations

import coderlplus as crl

PROGRAM = """\
def total(prices, rate):
    result = 0
    for price in prices:
        result += price * rate
    return result
"""


def main() -> None:
    with crl.open_sandbox() as sandbox:
        trace = crl.trace(sandbox, PROGRAM, crl.CallInput("total", ([3, 5], 2)), max_steps=100)
    print(f"{trace.ending.kind}: returned {trace.value}, the same in every run: {trace.deterministic}")
    for scope, variables in trace.variables.items():
        for name, value in variables.items():
            print(f"{scope}: {name} = {value}")
    for step in trace.steps or ():
        for change in step.changes:
            print(f"line {step.line}: {change.name} = {change.value}")


if __name__ == "__main__":
    main()
