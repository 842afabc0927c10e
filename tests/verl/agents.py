"""What stands between the policy of `policy.py` and verl's agent loops."""

from __future__ import annotations

from typing import Any

from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
from verl.workers.rollout.replica import TokenOutput


class NamedAgentLoop(SingleTurnAgentLoop):
    """The stock loop, which tells the server which sample of its group it asks for, so that what is sampled does not
    depend on who asks first."""

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> Any:
        return await super().run(
            sampling_params, priority=int(kwargs["session_id"]), **{k: v for k, v in kwargs.items() if k != "priority"}
        )


class Client:
    """What an agent loop asks for tokens."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy

    async def generate(self, request_id: str, *, prompt_ids: list[int], priority: int = 0, **_: Any) -> TokenOutput:
        tokens, step = await self.policy.sample.remote(list(prompt_ids), priority)
        steps = {"global_steps": step, "min_global_steps": step, "max_global_steps": step}
        return TokenOutput(token_ids=tokens, stop_reason="completed", extra_fields=steps)
