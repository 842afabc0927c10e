"""The same holds for root, for an ordinary user and in a container as it is by default: no hostile program gets a
pass, touches the host, or disturbs the next one; honest ones pass."""

from __future__ import annotations

import ctypes.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from coderlplus.sandbox import EXTRA_LAYERS, LAYERS

pytestmark = pytest.mark.timeout(1000)  # nothing of this may hang, but the machine may be busy
HERE = Path(__file__).parent
HOSTILE = HERE / "hostile.txt"


def attack(setting: str, files: list[Path], profile: Path | str = "") -> dict[str, Any]:
    if setting != "here" and os.geteuid() != 0:
        pytest.skip(f"only root can enter the setting {setting!r}")
    if setting != "here" and subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces here: the settings cannot be entered")
    if profile and not ctypes.util.find_library("seccomp"):
        pytest.skip("libseccomp is absent: the seccomp profile of a container cannot be loaded")
    command = [sys.executable, str(HERE / "attacks.py"), setting, str(profile), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert len(report["verdicts"]) >= len(files)
    assert report["wrong"] == []
    assert report["after"] == []
    return report


def layers(report: dict[str, Any]) -> set[str]:
    """The layers that stood in every verdict."""
    (found,) = report["isolation"]
    return set(found)


def test_here() -> None:
    assert set(LAYERS) <= layers(attack("here", [HOSTILE]))


def test_ordinary_user() -> None:
    report = attack("user", [HOSTILE])
    assert report["uid"] == 65534
    assert set(LAYERS) <= layers(report)


def test_recorded_attacks_for_an_ordinary_user(shared: Path) -> None:
    assert attack("user", sorted((shared / "attacks").glob("*.py")))["uid"] == 65534


def test_container(shared: Path) -> None:
    report = attack(
        "container",
        [HOSTILE, *sorted((shared / "attacks").glob("*.py"))],
        shared / "data" / "container" / "default_seccomp.json",
    )
    assert layers(report) == set(LAYERS), "such a container offers no namespaces"


@pytest.mark.parametrize(
    ("setting", "has_namespaces"), [("user", True), ("container", False), ("container user", False)]
)
def test_a_layer_asked_for_by_name_is_there_or_an_error(shared: Path, setting: str, has_namespaces: bool) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can enter the settings")
    code = (
        f"import sys; sys.path.insert(0, {str(HERE)!r})\nimport settings, pathlib\n"
        f"settings.enter({setting!r}, pathlib.Path({str(shared / 'data' / 'container' / 'default_seccomp.json')!r}))\n"
        "from coderlplus.sandbox import *\nfrom coderlplus.errors import SandboxError\n"
        "with Sandbox(workers=1) as sandbox: print(*sandbox.missing)\n"
        "try: Sandbox(workers=1, layers=[*LAYERS, *EXTRA_LAYERS]).close(); print('there')\n"
        "except SandboxError as error: print(error)\n"
        "with Sandbox(workers=1, layers=[*LAYERS, *EXTRA_LAYERS], allow_missing=EXTRA_LAYERS) as sandbox: "
        "print(*sandbox.isolation)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    missing, answer, allowed = (done.stdout + "\n\n").split("\n")[:3]
    if has_namespaces and missing:
        pytest.skip("this kernel gives ordinary users no namespaces")
    assert (
        (missing, allowed) == ("", " ".join((*LAYERS, *EXTRA_LAYERS)))
        if has_namespaces
        else ("namespaces", " ".join(LAYERS))
    ), done.stderr
    assert (
        answer == "there"
        or "namespaces (Operation not permitted); to run without it, set CODERLPLUS_ALLOW_MISSING=namespaces" in answer
    )
