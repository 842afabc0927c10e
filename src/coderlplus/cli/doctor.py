"""`coderlplus doctor`: what the sandbox enforces here, versions, devices."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from coderlplus import __version__
from coderlplus.cli.options import BACKEND, Address, BackEndName
from coderlplus.judge import Judge
from coderlplus.records import CallTest, Problem, Rollout
from coderlplus.sandbox import EXTRA_LAYERS, LAYERS, Sandbox
from coderlplus.sandbox.backends import check_backend, open_sandbox
from coderlplus.terminal import console, print_table, shown

_LIBRARIES = ("torch", "trl", "transformers", "accelerate", "datasets", "peft", "pydantic", "rich", "typer")

_WITHOUT_NAMESPACES = (
    "programs can see which processes and files exist, and can pass a number to the next program: docs/security.md"
)


_TRIED = Problem(problem_id="doctor", statement="", entry_point="f", tests=(CallTest((20,), 42),))


def doctor(
    backend: BackEndName = BACKEND,
    address: Address = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what the sandbox enforces on this machine, versions and devices. Ends with 1 if a layer of the base (all
    but namespaces) is missing. With a back end elsewhere it judges a program there too."""
    there = _tried(backend, address) if check_backend(backend, address).address else {}
    with Sandbox(workers=1, allow_missing=LAYERS) as sandbox:
        missing = dict(sandbox.missing)
    facts = {
        "coderlplus": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "user": "root" if os.geteuid() == 0 else "ordinary",
        "cores": len(os.sched_getaffinity(0)),
        "sandbox": {layer: missing.get(layer, "in force") for layer in (*LAYERS, *EXTRA_LAYERS)},
        "backend": there,
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "devices": _devices(),
    }
    if as_json:
        print(json.dumps(facts, indent=2))
    else:
        _print(facts)
    if there.get("a right program", "passed") != "passed" or (missing.keys() & set(LAYERS) and not there):
        raise typer.Exit(1)


def _tried(backend: str, address: str | None) -> dict[str, str]:
    """What a back end elsewhere offers, and what it says of a right program."""
    with open_sandbox(backend, address=address) as sandbox:
        rollout = Rollout(rollout_id="doctor", problem_id=_TRIED.problem_id, program="def f(n): return 2 * n + 2")
        verdict = Judge(sandbox).judge(_TRIED, rollout)
        detail = f" ({verdict.first_failure.detail})" if verdict.first_failure else ""
        return {
            "name": backend,
            "workers": str(sandbox.workers),
            "isolation": ", ".join(sandbox.isolation),
            "can trace": "yes" if sandbox.can_trace else "no, mining stays local",
            "a right program": f"{verdict.verdict}{detail}",
        }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _devices() -> list[str]:
    if importlib.util.find_spec("torch") is None:
        return ["cpu"]
    import torch

    return ["cpu"] + [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def _print(facts: dict[str, Any]) -> None:
    table = Table(show_header=False)
    for name in ("coderlplus", "python", "system", "user", "cores"):
        table.add_row(name, shown(str(facts[name])))
    table.add_row("devices", shown(", ".join(facts["devices"])))
    table.add_section()
    for layer, state in facts["sandbox"].items():
        missing = ("missing (an extra)", "yellow") if layer in EXTRA_LAYERS else ("missing", "red")
        told = Text(state, "green") if state == "in force" else Text.assemble(missing, f": {shown(state)}")
        table.add_row(f"sandbox: {layer}", told)
    if facts["sandbox"]["namespaces"] != "in force":
        table.add_row("", _WITHOUT_NAMESPACES)
    for name, told in facts["backend"].items():
        table.add_row(f"back end: {name}", shown(told))
    table.add_section()
    for name, version in facts["libraries"].items():
        table.add_row(name, Text(version) if version else Text("not installed", "dim"))
    print_table(table, console(soft_wrap=False))
