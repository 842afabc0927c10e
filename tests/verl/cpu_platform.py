"""A CPU as a platform of verl, for tests: `VERL_PLATFORM=cpu VERL_USE_EXTERNAL_MODULES=cpu_platform`, this folder on
PYTHONPATH, and Ray told that there is a GPU. verl has none of its own; it calls some names of `torch.cuda` that
`torch.cpu` lacks, and asks for NCCL by name."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import torch
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry

NUMBERS = {"device_count": 1, "current_device": 0, "get_device_name": "cpu", "mem_get_info": (1 << 34, 1 << 34)}
MEMORY = {"memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved"}
NOTHING = {
    "empty_cache",
    "ipc_collect",
    "manual_seed",
    "manual_seed_all",
    "reset_peak_memory_stats",
    "set_device",
    "synchronize",
}


class _Device:
    """`torch.cpu` and what it lacks."""

    def __getattr__(self, name: str) -> Any:
        if name in MEMORY:
            return lambda *_, **__: 0
        if name in NOTHING:
            return lambda *_, **__: None
        if name in NUMBERS:
            return lambda *_, **__: NUMBERS[name]
        if name == "get_rng_state":
            return lambda *_: torch.get_rng_state()
        if name == "set_rng_state":
            return lambda state, *_: torch.set_rng_state(state)
        return getattr(torch.cpu, name)


@PlatformRegistry.register(platform="cpu")
class PlatformCPU(PlatformBase):  # type: ignore[misc]
    device_name = vendor_name = "cpu"
    device_module = _Device()

    def is_available(self) -> bool:
        return True

    def current_device(self) -> str:
        return "cpu"

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None: ...

    def synchronize(self, device_index: int | None = None) -> None: ...

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None: ...

    def empty_cache(self) -> None: ...

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    def nvtx_range(self, msg: str) -> Any:
        return contextlib.nullcontext()

    def profiler_start(self) -> None: ...

    def profiler_stop(self) -> None: ...

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False

    def cudart(self) -> None:
        return None


if os.environ.get(
    "CPU_PLATFORM_ROLLOUT"
):  # the real workers: a server that samples, gloo for the group that trains, and a critic
    from transformers import AutoModelForTokenClassification
    from verl.utils import distributed
    from verl.workers.rollout import base
    from verl.workers.rollout.replica import RolloutReplicaRegistry

    def _replica() -> Any:
        from cpu_rollout import Replica

        return Replica

    base._ROLLOUT_REGISTRY["cpu", "async"] = "cpu_rollout.Weights"
    RolloutReplicaRegistry.register("cpu", _replica)
    _initialize = distributed.initialize_global_process_group_ray
    distributed.initialize_global_process_group_ray = lambda timeout_second=None, backend=None: _initialize(
        timeout_second, backend or "cpu:gloo"
    )
    # verl asks for flash attention by name for its value model
    _load = AutoModelForTokenClassification.from_pretrained
    AutoModelForTokenClassification.from_pretrained = lambda *paths, **given: _load(
        *paths, **given | {"attn_implementation": "sdpa"}
    )
