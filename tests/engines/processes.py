"""Runs of the trainer in processes of their own, killed where a test wants it: `python processes.py JOBS.json
RESULTS.json`.

A job is {"config": file, "processes": n, "kill": {"rank", "step", "at"} or null, "prepare": [names in
`PREPARATIONS`]}. The libraries are imported once; every process of a job is forked from there, as a launcher would
start it (RANK, WORLD_SIZE, …), and the job ends when all its processes have. A result has the exit status and the
output of every process and, of a run that came to its end, what its buffer and weights were on each of them.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import peft  # noqa: F401
import torch
from accelerate import state
from accelerate.utils import DistributedType
from torch.distributed.tensor import DTensor
from trl import GRPOTrainer  # noqa: F401
from trl.generation.vllm_client import VLLMClient

from coderlplus.engines.trl import saving, train, trainer
from coderlplus.engines.trl.config import load_config
from coderlplus.engines.trl.trainer import CodeRLPlusGRPO
from coderlplus.errors import CodeRLPlusError, SandboxError
from coderlplus.loop import AlignmentLoop
from coderlplus.records import Problem

KILLABLE = (
    "_generate",
    "_calculate_rewards",
    "finish_mining",
    "_compute_loss",
    "_save_rng_state",
    "write_checksums",
    "delete_older",
)
"""Where a process can be killed: just before it does this for the first time from a step on."""
PATIENCE_S = 120.0


def kill_at(step: int, at: str) -> None:
    """Have this process kill itself."""
    trainers: list[Any] = []

    def begin(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        trainers[:] = [self]
        return original(self, *args, **kwargs)

    def deadly(original: Any, *args: Any, **kwargs: Any) -> Any:
        # a step is counted when it ends, before it is saved
        now = trainers[0].state.global_step + (at in ("_generate", "_calculate_rewards", "_compute_loss"))
        if now >= step:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    owner: Any = saving.checkpoints if at in ("write_checksums", "delete_older") else CodeRLPlusGRPO
    original = getattr(owner, at)
    if owner is CodeRLPlusGRPO:
        setattr(owner, at, lambda *args, **kwargs: deadly(original, *args, **kwargs))
    else:
        setattr(owner, at, functools.partial(deadly, original))
    inner = CodeRLPlusGRPO._inner_training_loop
    CodeRLPlusGRPO._inner_training_loop = lambda self, *args, **kwargs: begin(inner, self, *args, **kwargs)


def script_completions() -> None:
    """Completions that depend on the names of rollouts alone, and not on which process samples them."""

    def complete(self: Any, prompt_ids: Any, *_: Any, **__: Any) -> tuple[list[list[int]], None]:
        one = self._generation.rounds[-1]
        pad, eos = self._tokenizer.pad_token_id, self._tokenizer.eos_token_id
        programs = [number for token, number in self._tokenizer.get_vocab().items() if token.startswith("def ")]
        answers = [number for token, number in self._tokenizer.get_vocab().items() if token.startswith("{")]
        chosen = []
        for row, name in zip(one.sampled, one.ids, strict=True):
            tokens = sorted(programs if isinstance(row, Problem) else answers)
            chosen.append(tokens[int(hashlib.sha256(name.encode()).hexdigest(), 16) % len(tokens)])
        assert pad not in chosen
        return [[token, eos] for token in chosen], None

    CodeRLPlusGRPO._generate_single_turn = complete


def send_weights_to_a_server() -> None:
    """TRL sends weights from a GPU alone, and asks for nothing else of it."""
    original = VLLMClient.init_communicator
    VLLMClient.init_communicator = lambda self, device: original(self, device="cuda")


def split_the_model() -> None:
    """FSDP over processes without GPUs. accelerate has it for GPUs alone, and leaves it out elsewhere without a
    word."""
    original = state.AcceleratorState.__init__

    def begin(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if self.distributed_type == DistributedType.MULTI_CPU and kwargs.get("fsdp_plugin") is not None:
            self.fsdp_plugin = kwargs["fsdp_plugin"]
            self.distributed_type = state.PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    state.AcceleratorState.__init__ = begin


def split_with_deepspeed() -> None:
    """DeepSpeed over processes without GPUs, which accelerate takes for one process each."""
    original = state.PartialState._prepare_backend

    def prepare(self: Any, *args: Any, **kwargs: Any) -> Any:
        backend, kind = original(self, *args, **kwargs)
        return ("gloo", DistributedType.MULTI_CPU) if kind == DistributedType.NO else (backend, kind)

    state.PartialState._prepare_backend = prepare


def fail_on_process_1() -> None:
    """The sandbox of process 1 is broken."""
    if os.environ["RANK"] == "1":
        AlignmentLoop.reward = refuse  # type: ignore[method-assign]


def hang_on_process_1() -> None:
    """Judging on process 1 never ends, not even at its limit."""
    trainer.GRACE_S = 1.0
    if os.environ["RANK"] == "1":
        AlignmentLoop.reward = lambda *_, **__: time.sleep(3600)  # type: ignore[method-assign, assignment]


def stop_process_1() -> None:
    """Process 1 is stopped in its second step, and is there but silent."""
    if os.environ["RANK"] == "1":
        original = CodeRLPlusGRPO._compute_loss

        def compute(self: Any, *args: Any, **kwargs: Any) -> Any:
            if self.state.global_step == 1:
                os.kill(os.getpid(), signal.SIGSTOP)
            return original(self, *args, **kwargs)

        CodeRLPlusGRPO._compute_loss = compute


def refuse(*_: Any, **__: Any) -> Any:
    raise SandboxError("no worker can be started")


PREPARATIONS = {
    "script completions": script_completions,
    "send weights": send_weights_to_a_server,
    "split the model": split_the_model,
    "split the model with DeepSpeed": split_with_deepspeed,
    "judging fails on process 1": fail_on_process_1,
    "judging hangs on process 1": hang_on_process_1,
    "process 1 is stopped": stop_process_1,
}


def keep_what_is_left(path: Path) -> None:
    """At the end of a run, write down the buffer and the weights of this process."""
    original = train._save_final

    def save(trainer: Any, run: Any) -> None:
        weights = hashlib.sha256()
        for name, tensor in sorted(trainer.accelerator.unwrap_model(trainer.model).state_dict().items()):
            whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            weights.update(name.encode() + whole.detach().numpy().tobytes())
        tasks = [task.task_id for task in trainer.loop.buffer] if trainer.loop else []
        path.write_text(json.dumps({"weights": weights.hexdigest(), "tasks": tasks}))
        original(trainer, run)

    train._save_final = save


def one_process(job: dict[str, Any], rank: int, port: int, folder: Path) -> None:
    """Never returns."""
    status = 0
    try:
        for number, name in ((1, "out"), (2, "out")):
            os.dup2(os.open(folder / f"{name}-{rank}", os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
        if job["processes"] > 1:
            size = str(job["processes"])
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        if job["kill"] and job["kill"]["rank"] == rank:
            kill_at(job["kill"]["step"], job["kill"]["at"])
        for name in job["prepare"]:
            PREPARATIONS[name]()
        keep_what_is_left(folder / f"end-{rank}")
        train.train(load_config(job["config"]))
    except CodeRLPlusError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stderr.flush()
    os._exit(status)


def run(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """All processes of a job, to their end; those that are stopped for good are killed when the others have ended."""
    folder.mkdir()
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    began = time.monotonic()
    children = {}
    for rank in range(job["processes"]):
        child = os.fork()
        if child == 0:
            one_process(job, rank, port, folder)
        children[child] = rank
    statuses: dict[int, int] = {}
    stopped = set()
    while children.keys() - stopped and time.monotonic() - began < PATIENCE_S:
        child, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
        if child and os.WIFSTOPPED(status):
            stopped.add(child)
        elif child:
            statuses[children.pop(child)] = os.waitstatus_to_exitcode(status)
        else:
            time.sleep(0.05)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    ends = [
        json.loads((folder / f"end-{rank}").read_text())
        for rank in range(job["processes"])
        if (folder / f"end-{rank}").exists()
    ]
    outputs = [(folder / f"out-{rank}").read_text() for rank in range(job["processes"])]
    return {"statuses": [statuses.get(rank) for rank in range(job["processes"])], "outputs": outputs, "ends": ends}


def main(jobs: str, results: str) -> None:
    torch.set_num_threads(1)
    work = Path(results).parent
    done = [run(job, work / f"job-{number}") for number, job in enumerate(json.loads(Path(jobs).read_text()))]
    Path(results).write_text(json.dumps(done))


if __name__ == "__main__":
    main(*sys.argv[1:])
