"""One process of a study: `python -m coderlplus_lab.study.job FOLDER KEY` makes what a job leaves, or resumes making
it."""

from __future__ import annotations

import fcntl
import os
import sys
import threading
import time
import traceback
from pathlib import Path

from coderlplus.errors import CodeRLPlusError, ConfigError
from coderlplus_lab.study.folder import StudyFolder, StudyJob
from coderlplus_lab.study.plan import plan
from coderlplus_lab.study.settings import Study


def main(root: str, key: str) -> int:
    """Do a job; returns 0, 2 for an error made on purpose, 130 after Ctrl-C."""
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    layout = StudyFolder(Path(root))
    study = Study.model_validate_json(layout.settings.read_text(encoding="utf-8"))
    job = plan(study, layout).get(key)
    try:
        if job is None:
            raise ConfigError(f"{root} has no job {key!r}")
        log = layout.log(job).open("ab")
        fcntl.flock(log, fcntl.LOCK_EX)  # the process of a study that was killed may need a second to notice
        if not job.done:
            do(study, layout, job)
    except CodeRLPlusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # such as a full disk: where it came from, and a sentence for the study
        if error.strerror is None:  # transformers says so that there is no such model
            raise
        traceback.print_exc()
        print(f"error: {error.filename or root}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def do(study: Study, layout: StudyFolder, job: StudyJob) -> None:
    """Do a job in this process."""
    if job.kind == "problems":
        from coderlplus_lab.study.data import make_problems

        make_problems(study, layout)
        return
    import torch

    from coderlplus_lab.study import initial_models, probing, runs, sampling, selecting
    from coderlplus_lab.world.model import register

    if initial_models.device(study) == "cpu":
        torch.set_num_threads(1)  # jobs run side by side
    register()
    match job.kind:
        case "initial_model":
            initial_models.make_initial_model(study, layout, job.name, job.number)
        case "samples":
            sampling.sample_initial_model(study, layout, job.name, job.number)
        case "search":
            runs.run_search(study, layout, job.name, job.number)
        case "run":
            runs.make_run(study, layout, job.name, job.number)
        case "programs":
            selecting.write_programs(study, layout, job.name, job.number)
        case "predictions":
            writer, reader = job.name.split("/")
            selecting.write_predictions(study, layout, writer, reader, job.number)
        case "probe":
            probing.probe_seed(study, layout, job.number)


def end_with(parent: int) -> None:
    """End this process when its parent is gone, so that a killed study leaves no running process."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sys.exit(main(*sys.argv[1:]))
