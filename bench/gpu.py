"""Ten minutes on one GPU: a real model trained plain and with CodeRL+ at equal samples, and what each step took.

    python bench/gpu.py -o runs/gpu --problems data/mbpp/train.jsonl --held-out data/mbpp/validation.jsonl
    python bench/gpu.py -o runs/dry --problems data/mbpp/train.jsonl --dry-run

**It has not been run on a GPU yet**; on a CPU, `--dry-run` takes three small steps of each arm. docs/real-recipe.md
says how the files of problems are made.

The model is SmolLM2-135M-Instruct (`bench/real_model.py`), or `--model`; the settings are those of
`recipes/smollm2_135m.yaml`, with one update a batch, completions of 256 tokens, and `key=value` as of `coderlplus
train` over them, for example `trl.use_vllm=true trl.vllm_mode=colocate`. Each arm (`grpo`, `coderlplus`) runs in
processes of its own, in two rounds: a few steps of both, then as many more of both as the pace leaves time for.

OUTPUT holds for each arm a run folder (`coderlplus report OUTPUT` shows both), and

    steps.jsonl, steps.csv   each step: seconds by part, tokens, rewards, pass rates, utilisation of the GPU
    summary.json             means of the parts, tokens a second, memory, idle share, first and last rewards
    index.html               all of it on one page

Stopped or killed, the same command continues; a folder of other settings is refused, and nothing is overwritten. The
exit code is 2, with a sentence, where there is no GPU, and where an arm failed that of the arm.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

import gpu_results
from coderlplus.engines.settings_files import over, overridden_settings
from coderlplus.engines.trl.config import make_config
from coderlplus.errors import CodeRLPlusError, ConfigError
from coderlplus.records.files import atomic_write, held
from coderlplus_lab.study.loading import load_study
from real_model import NotToBeHad, real_model

HERE = Path(__file__).parent
RECIPE = HERE.parent / "recipes" / "smollm2_135m.yaml"
ARMS = ("grpo", "coderlplus")
FIRST_STEPS, DRY_STEPS = 8, 3
KEPT = 0.9
"""Share of the time left that the second round plans for."""
ON_A_GPU = {
    "samples_every": 5,
    "trl": {
        "per_device_train_batch_size": 32,
        "gradient_accumulation_steps": 16,
        "steps_per_generation": 16,  # 64 prompts x 8, one update
        "max_completion_length": 256,
        "save_steps": 50,
        "save_total_limit": 1,
        "report_to": "none",
    },
}
DRY = {
    "threads": 1,  # more of them wait for each other where cores are busy
    "samples_every": 1,
    "alignment": {"alpha": 0.5},
    "trl": {
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "num_generations": 4,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 1,
        "steps_per_generation": 1,
        "max_completion_length": 64,
        "save_steps": 10,
    },
}


def arm_settings(options: argparse.Namespace, model: str) -> dict[str, dict[str, Any]]:
    """The configuration of each arm but for its number of steps. Raises `ConfigError` for an unknown setting."""
    base = over(load_study(RECIPE).train_settings("coderlplus"), ON_A_GPU)
    if options.dry_run:
        base = over(base, DRY)
    base |= {"model": model, "problems": [str(path) for path in options.problems]}
    if options.held_out is not None:
        limit, tokens = (2, 32) if options.dry_run else (64, 256)
        held_out = {"benchmarks": [str(options.held_out)], "every": 10**6, "limit": limit, "max_tokens": tokens}
        base["eval"] = held_out
    with tempfile.TemporaryDirectory() as folder:
        unread = Path(folder) / "settings.yaml"
        unread.write_text(yaml.safe_dump(base), encoding="utf-8")
        settings, where = overridden_settings(unread, options.overrides)
        made = {
            arm: settings | {"output": str(options.output / arm)} | ({"alignment": False} if arm == "grpo" else {})
            for arm in ARMS
        }
        for one in made.values():
            make_config(one, where)
    return made


def more_steps(left_s: float, paces: Sequence[float], overheads: Sequence[float]) -> int:
    """The further steps of each arm that fit into the seconds left, by the seconds a step of each arm takes and those
    that its process takes beside its steps.

    >>> more_steps(400.0, [3.0, 5.0], [20.0, 20.0])
    40
    >>> more_steps(30.0, [3.0, 5.0], [20.0, 20.0])
    0
    """
    return max(0, int(KEPT * (left_s - sum(overheads)) / sum(paces)))


class Plan:
    """`plan.json`: what is run, in which rounds, and what each finished round of an arm took."""

    def __init__(self, output: Path, about: dict[str, Any]) -> None:
        """Raises `ConfigError` for a folder of something else."""
        self.path = output / "plan.json"
        if self.path.exists():
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            changed = [key for key in about if kept["about"].get(key) != about[key]]
            if changed:
                raise ConfigError(
                    f"{output} was begun with {changed[0]} {kept['about'].get(changed[0])!r}, not "
                    f"{about[changed[0]]!r}; give the same, or choose another -o"
                )
            self.data = kept
        elif any(path.name != ".lock" for path in output.iterdir()):
            raise ConfigError(f"{output} holds something else; choose another -o")
        else:
            self.data = {"about": about, "rounds": [about["first_steps"]], "walls": {}}
            self._write()

    def __getitem__(self, key: str) -> Any:
        return self.data[key]

    def note(self, arm: str, steps: int, seconds: float) -> None:
        self.data["walls"][f"{arm}/{steps}"] = round(seconds, 1)
        self._write()

    def add_round(self, steps: int) -> None:
        self.data["rounds"].append(steps)
        self._write()

    def wall(self, arm: str, steps: int) -> float | None:
        seconds: float | None = self.data["walls"].get(f"{arm}/{steps}")
        return seconds

    def _write(self) -> None:
        atomic_write(self.path, json.dumps(self.data, indent=2) + "\n")


def second_round(plan: Plan, output: Path, options: argparse.Namespace) -> int:
    """The number of steps that both arms have after the second round."""
    first: int = plan["rounds"][0]
    if options.dry_run:
        return DRY_STEPS
    walls = {arm: plan.wall(arm, first) or 0.0 for arm in ARMS}
    stepped = {arm: gpu_results.step_seconds(output / arm) for arm in ARMS}
    paces = [sum(seconds[1:]) / max(1, len(seconds) - 1) for seconds in stepped.values()]  # the first one warms up
    overheads = [max(0.0, walls[arm] - sum(stepped[arm])) for arm in ARMS]
    return first + more_steps(60 * options.minutes - sum(walls.values()), paces, overheads)


def run_round(plan: Plan, output: Path, steps: int, *, dry_run: bool) -> None:
    """Take both arms to `steps`. Exits with the code of an arm that fails."""
    for arm in ARMS:
        if plan.wall(arm, steps) is not None:
            continue
        print(f"{arm}: to step {steps}", file=sys.stderr, flush=True)
        began = time.monotonic()
        command = [sys.executable, str(HERE / "gpu_arm.py"), str(output), arm, str(steps)]
        code = ended(command + (["--cpu"] if dry_run else []))
        if code == 130:
            raise KeyboardInterrupt
        if code:
            if code != 2:  # with 2 it has said why
                print(f"error: {arm} ended with exit code {code}; the same command continues", file=sys.stderr)
            sys.exit(code if code > 0 else 128 - code)
        plan.note(arm, steps, time.monotonic() - began)


def ended(command: Sequence[str]) -> int:
    """The exit code of a command. Ctrl-C reaches it too: it finishes its step, saves it and ends by itself."""
    with subprocess.Popen(command) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue


def measure(options: argparse.Namespace) -> Path:
    """Train both arms and write the files; returns the page."""
    output: Path = options.output
    model = options.model or str(real_model())
    settings = arm_settings(options, model)
    output.mkdir(parents=True, exist_ok=True)
    about = {
        "dry_run": options.dry_run,
        "model": model,
        "problems": [str(path) for path in options.problems],
        "held_out": None if options.held_out is None else str(options.held_out),
        "overrides": options.overrides,
        "minutes": options.minutes,
        "first_steps": 1 if options.dry_run else FIRST_STEPS,
    }
    with held(output):
        plan = Plan(output, about)
        for arm, one in settings.items():
            atomic_write(output / f"{arm}.yaml", yaml.safe_dump(one, sort_keys=False, width=120))
        return trained(options, plan)


def trained(options: argparse.Namespace, plan: Plan) -> Path:
    """Take both arms through the rounds of a plan and write the files."""
    output: Path = options.output
    run_round(plan, output, plan["rounds"][0], dry_run=options.dry_run)
    if len(plan["rounds"]) == 1:
        plan.add_round(second_round(plan, output, options))
    run_round(plan, output, plan["rounds"][1], dry_run=options.dry_run)
    return gpu_results.write(output, plan.data, ARMS)


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="key=value over the settings of both arms")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for runs, numbers and page")
    parser.add_argument("--problems", type=Path, nargs="+", action="extend", required=True, help="to train on")
    parser.add_argument("--held-out", type=Path, help="problems to measure before, between and after the rounds")
    parser.add_argument("--model", help="folder or hub name; default SmolLM2-135M-Instruct, made by real_model.py")
    parser.add_argument("--minutes", type=float, default=10.0, help="for both arms together (default 10)")
    parser.add_argument("--dry-run", action="store_true", help="three small steps of each arm on the CPU")
    return parser.parse_args(arguments)


def main() -> None:
    options = options_of()
    import torch

    if not options.dry_run and not torch.cuda.is_available():
        print("error: torch sees no GPU here; --dry-run runs three steps of the same script on a CPU", file=sys.stderr)
        sys.exit(2)
    try:
        print(measure(options))
    except (CodeRLPlusError, NotToBeHad) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; the same command continues", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
