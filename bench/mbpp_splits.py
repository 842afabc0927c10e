"""MBPP's published splits, as files that `coderlplus prepare`, studies and `bench/gpu.py` read.

    python bench/mbpp_splits.py mbpp.jsonl -o data/mbpp

writes `train_rows.jsonl` (374 problems), `validation.jsonl` (90) and `test.jsonl` (500), rows as they stand in the
file, plain or in gzip. The first ten problems, examples in prompts, are in none. Prepare the first before training:

    coderlplus prepare data/mbpp/train_rows.jsonl -o data/mbpp/train.jsonl --benchmarks data/mbpp/test.jsonl
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from pathlib import Path

SPLITS = {"train_rows": range(601, 975), "validation": range(511, 601), "test": range(11, 511)}
"""File → the `task_id`s of its problems (Austin et al. 2021)."""


def split(source: Path, folder: Path) -> dict[str, int]:
    """Write the splits and return how many problems each has. Raises `OSError` for a file that cannot be read or
    written, `ValueError` for one that is not MBPP whole."""
    data = source.read_bytes()
    text = (gzip.decompress(data) if source.suffix == ".gz" else data).decode()
    lines = {json.loads(line)["task_id"]: line.rstrip() + "\n" for line in text.split("\n") if line.strip()}
    missing = [number for numbers in SPLITS.values() for number in numbers if number not in lines]
    if missing:
        raise ValueError(f"{len(missing)} of MBPP's 974 problems are missing, such as {missing[0]}")
    folder.mkdir(parents=True, exist_ok=True)
    for name, numbers in SPLITS.items():
        text = "".join(lines[number] for number in numbers)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return {name: len(numbers) for name, numbers in SPLITS.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="mbpp.jsonl or mbpp.jsonl.gz, all 974 problems")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the files")
    options = parser.parse_args()
    try:
        counts = split(options.source, options.output)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        sys.exit(f"error: {options.source} cannot be split: {reason}; give mbpp.jsonl with all 974 problems")
    for name, count in counts.items():
        print(f"{options.output / name}.jsonl: {count} problems")


if __name__ == "__main__":
    main()
