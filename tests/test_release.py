"""What a release is made of: one version everywhere; files for containers and clusters that parse, keep the rules of
unprivileged containers, and give commands flags that they have."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

import coderlplus
from coderlplus.cli import app

ROOT = Path(__file__).parents[1]
CLUSTER = ROOT / "examples" / "cluster"
YAML = sorted(
    [
        *ROOT.glob("*.yaml"),
        ROOT / "mkdocs.yml",
        *(ROOT / ".github").rglob("*.yml"),
        *CLUSTER.glob("*.yaml"),
        *(ROOT / "recipes").rglob("*.yaml"),
    ]
)
SCRIPTS = sorted([*CLUSTER.glob("*.sh"), *(path for path in (ROOT / ".ci").iterdir() if path.suffix == "")])


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


class _Loader(yaml.SafeLoader):
    """Tags of mkdocs are read as nothing."""


_Loader.add_multi_constructor("tag:", lambda loader, suffix, node: None)


def test_the_version_is_the_same_everywhere() -> None:
    version = coderlplus.__version__
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f'\nversion = "{version}"\n' in (ROOT / "environments" / "verifiers" / "pyproject.toml").read_text()
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version
    for path in CLUSTER.glob("kubernetes_*.yaml"):
        assert set(re.findall(r"image: \S+:(\S+)", path.read_text())) == {version}


@pytest.mark.parametrize("path", YAML, ids=name_of)
def test_yaml_parses(path: Path) -> None:
    assert list(yaml.load_all(path.read_text(encoding="utf-8"), _Loader))


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_shell_scripts_parse_and_stop_at_errors(path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is absent")
    done = subprocess.run([bash, "-n", str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nset -euo pipefail\n" in path.read_text()


def stages() -> dict[str, list[str]]:
    """The instructions of each stage of the Dockerfile."""
    found: dict[str, list[str]] = {}
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    for line in text.splitlines():
        if line.startswith("FROM "):
            found[line.split(" AS ")[1]] = [line]
        elif line and not line.startswith("#"):
            found[list(found)[-1]].append(line)
    return found


def test_images_are_pinned_and_end_as_an_ordinary_user() -> None:
    images = stages()
    assert set(images) == {"base", "server", "trainer"}
    assert re.fullmatch(r"FROM python:3\.\d+-slim-\w+ AS base", images["base"][0])
    for name in ("server", "trainer"):
        users = [line.split()[1] for line in images[name] if line.startswith("USER ")]
        assert users == ["coderlplus"]
        installs = [place for place, line in enumerate(images[name]) if "pip install" in line]
        assert max(installs) < images[name].index("USER coderlplus")
    everything = [line for lines in images.values() for line in lines]
    assert not [line for line in everything if re.search(r"\b(sudo|ADD|chmod 777|curl|latest)\b", line)]
    assert all("--constraint constraints.txt" in line for line in everything if "pip install" in line)


def test_what_the_images_copy_is_in_their_context() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for line in stages()["base"]:
        if line.startswith("COPY "):
            for name in line.split()[1:-1]:
                assert (ROOT / name).exists()
                assert f"!{name}" in ignored


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _mappings(inner)


def test_compose_publishes_on_loopback_alone_and_drops_privileges() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert set(services) == {"server", "trainer"}
    for name, service in services.items():
        assert service["build"]["target"] == name
        assert service["cap_drop"] == ["ALL"]
        assert "privileged" not in service
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


@pytest.mark.parametrize("path", sorted(CLUSTER.glob("kubernetes_*.yaml")), ids=name_of)
def test_pods_run_as_an_ordinary_user_without_privileges(path: Path) -> None:
    everything = list(_mappings(list(yaml.safe_load_all(path.read_text()))))
    containers = [each for one in everything for each in one.get("containers", ())]
    assert containers
    for container in containers:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert {"limits", "requests"} <= set(container["resources"])
    assert any(one.get("runAsNonRoot") for one in everything)
    assert not any(one.get("privileged") or one.get("hostPath") or one.get("hostNetwork") for one in everything)


def commands() -> Iterator[tuple[str, list[str]]]:
    """The commands of coderlplus in files for clusters and containers, with where they are."""
    for path in [ROOT / "compose.yaml", *CLUSTER.iterdir()]:
        text = re.sub(r"\\\n\s*", " ", path.read_text())
        for line in re.findall(
            r"(?:exec |run |trainer |^\s*)coderlplus ((?:serve|train|judge) .*)$", text, re.MULTILINE
        ):
            yield path.name, shlex.split(line)
    image = next(line for line in stages()["server"] if line.startswith("CMD "))
    yield "Dockerfile", [str(word) for word in yaml.safe_load(image.removeprefix("CMD "))]
    (server, *_) = yaml.safe_load_all((CLUSTER / "kubernetes_server.yaml").read_text())
    yield "kubernetes_server.yaml", server["spec"]["template"]["spec"]["containers"][0]["args"]


@pytest.mark.parametrize(("where", "words"), list(commands()))
def test_commands_for_clusters_have_the_flags_that_they_are_given(where: str, words: list[str]) -> None:
    verbs: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    flags = {flag for parameter in verbs[words[0]].params for flag in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= flags


def test_the_workflows_run_what_the_makefile_has() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = {
        target
        for path in (ROOT / ".github" / "workflows").glob("*.yml")
        for target in re.findall(r"make ([\w-]+)", path.read_text())
    }
    assert used
    assert used <= targets
