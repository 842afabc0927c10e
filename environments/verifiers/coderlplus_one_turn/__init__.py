"""One turn, in this process: one request, one answer. Nothing is installed or launched, and no account is needed."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request

import verifiers.v1 as vf

__all__ = ["OneTurnEnv", "OneTurnHarness"]
TIMEOUT_S = 3600.0
"""The run's own limits are shorter; this one only ends a request that nobody waits for."""


class OneTurnConfig(vf.HarnessConfig):
    """Nothing to set."""


class OneTurnHarness(vf.Harness[OneTurnConfig]):
    """Sends the prompt of the task and takes the answer."""

    APPENDS_SYSTEM_PROMPT = True
    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def launch(
        self,
        ctx: vf.ModelContext,
        trace: vf.Trace,
        runtime: vf.Runtime,
        endpoint: str,
        secret: str,
        mcp_urls: dict[str, str],
        data: vf.TaskData,
    ) -> vf.ProgramResult:
        system, prompt = self.resolve_text_prompt(data)
        messages = [{"role": "system", "content": system}] if system else []
        body = {"model": ctx.model, "messages": [*messages, {"role": "user", "content": prompt}]}
        request = urllib.request.Request(
            f"{endpoint.rstrip('/')}/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {secret}"},
        )
        failed = await asyncio.to_thread(_send, request)
        return vf.ProgramResult(exit_code=1 if failed else 0, stdout="", stderr=failed)


class OneTurnEnvConfig(vf.SingleAgentEnvConfig):
    agent: vf.AgentConfig = vf.AgentConfig(runtime=vf.SubprocessConfig())
    """The runtime has nothing to do, so it is the cheapest; `--env.agent.runtime.type` takes another."""


class OneTurnEnv(vf.Env[OneTurnEnvConfig]):
    """The environment of one agent that verifiers has, with another runtime unless one is named."""

    async def run(self, task: vf.Task, agents: vf.Agents) -> None:
        await agents.agent.run(task)


def _send(request: urllib.request.Request) -> str:
    """Sends a request, whose answer the trace records on its way; returns why it failed, or nothing."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=TIMEOUT_S) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}: {error.read(500).decode('utf-8', 'replace')}"
    except OSError as error:
        return str(error)
    return ""


def reply(trace: vf.Trace) -> str:
    """The last answer of the model, unchanged; empty if the model gave no answer."""
    messages = trace.assistant_messages
    return (messages[-1].content or "") if messages else ""
