"""TRL with vLLM: how long prompts may be, and what can go wrong there, as sentences."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from coderlplus.errors import CodeRLPlusError, ConfigError

_MODULES = ("vllm.", "trl.generation.vllm_")


def room_for_prompt(trl: Mapping[str, Any]) -> int | None:
    """Tokens that `vllm_max_model_length` leaves beside a completion, which vLLM refuses to exceed in the middle of a
    run. `None` is no limit."""
    if not trl.get("use_vllm") or trl.get("vllm_mode") == "server" or trl.get("vllm_max_model_length") is None:
        return None
    room = int(trl["vllm_max_model_length"]) - int(trl.get("max_completion_length") or 0)
    if room < 1:
        raise ConfigError(
            f"trl.vllm_max_model_length = {trl['vllm_max_model_length']} leaves no room for a prompt beside "
            f"{trl['max_completion_length']} tokens of a completion; raise it, or lower trl.max_completion_length"
        )
    return room


@contextlib.contextmanager
def vllm_may_fail(arguments: Any) -> Iterator[None]:
    """Turn the error of vLLM, or of its server, into a sentence: raises `ConfigError` where it does not start and
    `CodeRLPlusError` where it is gone."""
    try:
        yield
    except CodeRLPlusError:
        raise
    except Exception as error:
        if isinstance(error, ImportError) or not arguments.use_vllm or not _is_of_vllm(error.__traceback__):
            raise
        reason = " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
        if arguments.vllm_mode == "server":
            raise CodeRLPlusError(_of_the_server(arguments, error, reason)) from error
        raise ConfigError(
            f"vLLM fails ({reason}); if memory is short, lower trl.vllm_max_model_length, or raise "
            f"{_memory_setting(arguments)}, then rerun the command, which continues"
        ) from error


def _of_the_server(arguments: Any, error: Exception, reason: str) -> str:
    server = arguments.vllm_server_base_url or f"http://{arguments.vllm_server_host}:{arguments.vllm_server_port}"
    if "EADDRINUSE" in reason or "Address already in use" in reason:
        return (
            f"port {arguments.vllm_group_port}, over which the vLLM server gets the weights, is taken; set "
            "trl.vllm_group_port to a free one"
        )
    if isinstance(error, OSError):  # that of requests, too
        return f"the vLLM server at {server} does not answer ({reason}); start it again and rerun the command"
    return f"the vLLM server at {server} fails ({reason}); its own log says why; rerun the command, which continues"


def _memory_setting(arguments: Any) -> str:
    return "VLLM_CPU_KVCACHE_SPACE (GiB)" if arguments.use_cpu else "trl.vllm_gpu_memory_utilization"


def _is_of_vllm(trace: TracebackType | None) -> bool:
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__")).startswith(_MODULES):
            return True
        trace = trace.tb_next
    return False


def be_quiet() -> None:
    """vLLM's log at errors, where the user has not set it."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
