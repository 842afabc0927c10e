"""One arm of `bench/gpu.py` to a number of steps: `python bench/gpu_arm.py OUTPUT ARM STEPS [--cpu]`.

It trains as OUTPUT/ARM.yaml says and measures what the engine's metrics do not have: OUTPUT/ARM.parts.jsonl has a line
for each batch (seconds of sampling and of handing the weights to vLLM, tokens), OUTPUT/ARM.device.jsonl what
nvidia-smi says twice a second, OUTPUT/ARM.process.jsonl a line for each process (memory, versions).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from coderlplus.errors import CodeRLPlusError
from coderlplus_lab.study.job import end_with

QUERY = ("utilization.gpu", "memory.used", "power.draw")
"""Percent, MiB and W, as nvidia-smi names them."""
PACKAGES = ("coderlplus", "torch", "transformers", "trl", "vllm")


def append(path: Path, line: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def timed_parts(path: Path, synchronize: Callable[[], None]) -> None:
    """From now on every batch that TRL samples leaves a line in `path`."""
    from trl import GRPOTrainer
    from trl.generation.vllm_generation import VLLMGeneration

    generate, sync = GRPOTrainer._generate, VLLMGeneration.sync_weights
    handed_over_s = [0.0]

    def timed_sync(self: Any) -> None:
        synchronize()
        began = time.perf_counter()
        sync(self)
        synchronize()
        handed_over_s[0] += time.perf_counter() - began

    def timed_generate(self: Any, prompts: list[Any]) -> Any:
        synchronize()
        began, handed_over_s[0] = time.perf_counter(), 0.0
        generated = generate(self, prompts)
        synchronize()
        seconds = time.perf_counter() - began
        if self.model.training:
            line = {
                "step": self.state.global_step + 1,
                "began": time.time() - seconds,
                "sampling_s": seconds - handed_over_s[0],
                "weight_sync_s": handed_over_s[0],
                "prompt_tokens": sum(map(len, generated[0])),
                "completion_tokens": sum(map(len, generated[1])),
            }
            append(path, line)
        return generated

    GRPOTrainer._generate, VLLMGeneration.sync_weights = timed_generate, timed_sync


@contextlib.contextmanager
def device_watched(path: Path, uuid: str) -> Iterator[None]:
    """Inside, a line twice a second of what nvidia-smi says of a GPU; none where it is not installed."""
    command = ["nvidia-smi", f"--id={uuid}", f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"]
    try:
        process = subprocess.Popen([*command, "--loop-ms=500"], stdout=subprocess.PIPE, text=True)
    except OSError:
        yield
        return

    def read() -> None:
        assert process.stdout is not None
        for text in process.stdout:
            with contextlib.suppress(ValueError):  # "[N/A]" of a device that does not tell
                utilisation, memory, power = map(float, text.split(","))
                append(path, {"at": time.time(), "utilisation": utilisation, "memory_mib": memory, "power_w": power})

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield
    finally:
        process.terminate()
        process.wait()
        reader.join()


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def main(output: Path, arm: str, steps: int, *, cpu: bool) -> None:
    import torch

    import coderlplus as crl

    alone = (output / f"{arm}.process.jsonl").open("a", encoding="utf-8")
    fcntl.flock(alone, fcntl.LOCK_EX)  # one whose parent was killed may need a second to notice

    gpu = torch.cuda.is_available() and not cpu
    line: dict[str, Any] = {"to_step": steps, "versions": versions(), "device": platform.processor() or "CPU"}
    watched: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if gpu:
        properties = torch.cuda.get_device_properties(0)
        line |= {"device": properties.name, "device_gib": properties.total_memory / 2**30}
        watched = device_watched(output / f"{arm}.device.jsonl", f"GPU-{properties.uuid}")
    timed_parts(output / f"{arm}.parts.jsonl", torch.cuda.synchronize if gpu else lambda: None)
    with watched:
        crl.train(output / f"{arm}.yaml", [f"trl.max_steps={steps}"])
    if gpu:
        line["peak_allocated_gib"] = torch.cuda.max_memory_allocated() / 2**30
        line["peak_reserved_gib"] = torch.cuda.max_memory_reserved() / 2**30
    line["peak_rss_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # Linux tells KiB
    alone.write(json.dumps(line) + "\n")
    alone.close()


if __name__ == "__main__":
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    try:
        main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), cpu="--cpu" in sys.argv[4:])
    except CodeRLPlusError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
