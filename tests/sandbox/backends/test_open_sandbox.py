"""`open_sandbox`: each back end by its name, and one sentence for what makes none."""

from __future__ import annotations

import importlib.util
import multiprocessing
import socket
from collections.abc import Callable
from typing import Any

import pytest

from coderlplus import CallTest, ConfigError, Judge, Problem, Rollout, open_sandbox
from coderlplus.errors import SandboxError
from coderlplus.sandbox import AnySandbox, Sandbox
from coderlplus.sandbox.backends.sandboxfusion import SandboxFusion


def test_the_local_sandbox_is_the_default() -> None:
    problem = Problem(problem_id="p", statement="", entry_point="f", tests=(CallTest((2,), 4),))
    with open_sandbox(workers=2) as sandbox:
        assert isinstance(sandbox, Sandbox)
        assert sandbox.workers == 2
        rollout = Rollout(rollout_id="r", problem_id="p", program="def f(x): return x * 2")
        assert Judge(sandbox).judge(problem, rollout).passed


def test_a_service_has_an_address_and_a_number_of_requests() -> None:
    with socket.create_server(("127.0.0.1", 0)) as service:
        url = f"http://127.0.0.1:{service.getsockname()[1]}/"
        with open_sandbox("sandboxfusion", address=url, workers=3) as sandbox:
            assert isinstance(sandbox, SandboxFusion)
            assert (sandbox.url, sandbox.workers) == (url, 3)
        with open_sandbox("sandboxfusion", address=url) as sandbox:
            assert sandbox.workers == 16


@pytest.mark.parametrize(
    ("backend", "given", "message"),
    [
        ("docker", {}, "unknown back end 'docker' of the sandbox; use local, ray, sandboxfusion"),
        (None, {}, "unknown back end None"),
        ("local", {"address": "http://x"}, "local has no address, not 'http://x'"),
        ("Sandbox-Fusion", {}, "unknown back end 'Sandbox-Fusion' of the sandbox; did you mean sandboxfusion?"),
        ("rya", {"address": "auto"}, "did you mean ray"),
        ("local", {"address": "auto"}, "set the back end to ray \\(such as auto\\) or sandboxfusion"),
        ("sandboxfusion", {}, "the back end sandboxfusion needs an address, such as http://localhost:8080"),
        (
            "sandboxfusion",
            {"address": "http://127.0.0.1:9"},
            "cannot reach a SandboxFusion service at http://127.0.0.1:9",
        ),
        ("sandboxfusion", {"address": "http://127.0.0.1:x"}, "cannot reach a SandboxFusion service"),
        ("sandboxfusion", {"address": "localhost"}, "'localhost' is not"),
        *(
            ("local", {"workers": workers}, "workers must be a whole number above 0")
            for workers in (0, -1, True, 1.5, "2")
        ),
        ("sandboxfusion", {"address": "http://x", "workers": 0}, "workers must be a whole number above 0"),
    ],
)
def test_what_makes_no_sandbox_is_one_sentence(backend: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        open_sandbox(backend, **given)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_the_message_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r"pip install 'coderlplus\[ray\]'"):
        open_sandbox("ray", address="auto")


@pytest.mark.parametrize("make", [Sandbox, lambda: SandboxFusion("http://127.0.0.1:9")])
def test_a_process_that_inherited_a_sandbox_says_so(make: Callable[[], AnySandbox]) -> None:
    """Instead of waiting for threads that it does not have. Of Ray, `test_ray_calls.py` shows it."""

    def child(said: Any) -> None:
        with sandbox:
            try:
                sandbox.call(print)
            except SandboxError as error:
                said.put(str(error))

    fork = multiprocessing.get_context("fork")
    said = fork.SimpleQueue()
    with make() as sandbox:
        process = fork.Process(target=child, args=(said,))
        process.start()
        process.join(60)
        assert process.exitcode == 0
        assert said.get() == "a sandbox does not survive a fork; create one in each process"
