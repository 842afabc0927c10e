"""One process of the quick start: `python -m coderlplus_lab.quickstart.arm FOLDER NAME`.

With the name of an arm it trains it, or goes on training it, and evaluates it. With `warm_start` it makes the warm start, which the arms need first;
called again, it evaluates it.
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading
import time
from pathlib import Path

from coderlplus.errors import CodeRLPlusError


def main(folder: str, name: str) -> int:
    """Do what is next for NAME; returns 0, 2 for an error made on purpose, 130 after Ctrl-C."""
    import torch

    from coderlplus_lab.quickstart.settings import WARM_START, Layout, read_settings
    from coderlplus_lab.quickstart.stages import evaluate_model, make_warm_start, train_arm

    torch.set_num_threads(1)
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    layout = Layout(Path(folder))
    settings = read_settings(layout)
    log = layout.log(name).open("ab")
    fcntl.flock(log, fcntl.LOCK_EX)  # the process of a quick start that was killed may need a second to notice
    try:
        if name == WARM_START and not layout.warm_start.exists():
            make_warm_start(layout, settings)
            return 0
        if name != WARM_START and not (layout.model(name) / "config.json").exists():
            train_arm(layout, settings, name)
        if not layout.evaluation(name).exists():
            evaluate_model(layout, settings, name)
    except CodeRLPlusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def end_with(parent: int) -> None:
    """End this process when its parent is gone, so that a quick start that was killed leaves nothing that goes on."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sys.exit(main(*sys.argv[1:]))
