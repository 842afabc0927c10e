"""`coderlplus quickstart`: the whole loop, made and run on this machine."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer


def quickstart(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder of the run; the same folder again continues it.")] = Path(
        "runs/quickstart"
    ),
    seed: Annotated[int, typer.Option(help="Of everything random; the same seed on the same machine gives the same numbers.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Run so many seeds, each in a folder of its own, and print means with spread.")] = 1,
    kl_control: Annotated[bool, typer.Option("--kl-control", help="Also train plain GRPO with a KL term.")] = False,
    tiny: Annotated[
        bool, typer.Option("--tiny", help="The loop in miniature, in a minute: shows that every part works, not that anything is learnt.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Watch a small model learn to write programs and to predict what they do: GRPO and CodeRL+ side by side on two CPU cores.

    Everything is generated; nothing is downloaded. Interrupt it at any time: the same command goes on.
    """
    import json

    from coderlplus.quickstart.run import quickstart as run
    from coderlplus.quickstart.settings import ARMS, KL_ARM, TINY, QuickstartSettings
    from coderlplus.quickstart.tables import seeds_table, summary_table
    from coderlplus.report import write_report

    base = TINY if tiny else QuickstartSettings()
    arms = (*ARMS, KL_ARM) if kl_control else ARMS
    summaries, pages = [], []
    for number in range(seed, seed + seeds):
        folder = output if seeds == 1 else output / f"seed-{number}"
        if seeds > 1:
            print(f"seed {number} in {folder}", file=sys.stderr)
        summaries.append(run(folder, dataclasses.replace(base, seed=number), arms=arms))
        pages.append(write_report(folder))
    if seeds > 1:
        (output / "seeds.json").write_text(json.dumps(summaries, indent=2) + "\n", encoding="utf-8")
    if json_output:
        print(json.dumps(summaries[0] if seeds == 1 else summaries, indent=2))
    else:
        print(summary_table(summaries[0]) if seeds == 1 else seeds_table(summaries))
        for page in pages:
            print(f"open in a browser: {page.resolve()}")
