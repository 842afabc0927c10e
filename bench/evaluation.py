"""How long `coderlplus eval` takes for 10,000 recorded completions, and the judge's share of it.

    python bench/evaluation.py --runs FOLDER --data-dir FOLDER [--completions 10000]

`--runs` holds files of recorded programs (`seed_humaneval_*.jsonl.gz`, `seed_mbpp_*.jsonl.gz`). They are repeated
until there are enough, each time with another comment at the end, so that none is taken for one that was judged
before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from coderlplus.problems import read_recorded


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--completions", type=int, default=10_000)
    options = parser.parse_args()
    programs = [item.rollout for file in sorted(options.runs.glob("seed_*.jsonl.gz")) for item in read_recorded(file)]
    if not programs:
        parser.error(f"{options.runs} holds no file seed_*.jsonl.gz")
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder) / "samples.jsonl"
        with samples.open("w") as file:
            for number in range(options.completions):
                turn, place = divmod(number, len(programs))
                program = f"{programs[place].program}\n# {turn}\n"
                file.write(json.dumps({"task_id": programs[place].problem_id, "solution": program}) + "\n")
        command = [
            sys.executable,
            "-c",
            "from coderlplus.cli import main; main()",
            "eval",
            "--benchmarks",
            "humaneval,mbpp",
            "--samples",
            str(samples),
        ]
        began = time.perf_counter()
        subprocess.run([*command, "--data-dir", str(options.data_dir), "-o", f"{folder}/out"], check=True)
        print(f"{options.completions:,} completions in {(time.perf_counter() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
