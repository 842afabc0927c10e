"""The folder of a study, and its jobs.

    STUDY/study.json                         the settings, for the processes of the jobs
          problems/                          problems and questions of the splits
          initial_models/NAME/seed-N/        a model of the small world, taught: a run folder
          samples/NAME/seed-N/               what an initial model wrote for the training problems
          search/ARM/N/                      an arm with the Nth searched setting: a run folder, measured.json
          runs/ARM/seed-N/                   an arm with a seed: a run folder and measured.json
          selection/ARM/seed-N/programs/     what an arm with a seed writes for the test problems, judged
          selection/ARM/seed-N/by-READER/    what another arm (or itself) predicts that these programs do
          probes/seed-N/                     hidden states of the probed arms: a folder of `coderlplus-lab probe`
          NAME.json, NAME.html               numbers and page of the study with that name

A job is done when its last file is there. Beside it stands what it was made of (`fingerprint.yaml`), so that no result
of other settings is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from coderlplus import moved

JobKind = Literal["problems", "initial_model", "samples", "search", "run", "programs", "predictions", "probe"]
FINGERPRINT = "fingerprint.yaml"
MEASURED = "measured.json"
WALL = "wall.json"
"""How long a job took in all, interrupted tries included."""
DONE: Mapping[JobKind, str] = {
    "problems": "complete.json",
    "initial_model": "final/config.json",
    "samples": "complete.json",
    "search": MEASURED,
    "run": MEASURED,
    "programs": "programs.json",
    "predictions": "predictions.json",
    "probe": "probe/results.json",
}
"""The last file of a job, in its folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyJob:
    """Something to make: `name` says which of its `kind` (a start, an arm, a writer and its reader; none for problems
    and probes), `number` its seed, or which settings of the search."""

    kind: JobKind
    name: str = ""
    number: int = 0
    folder: Path
    needs: tuple[str, ...] = ()
    fingerprint: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What it is called: `run/grpo/0`, `probe/0`, `problems`."""
        number = "" if self.kind == "problems" else str(self.number)
        return "/".join(part for part in (self.kind, self.name, number) if part)

    @property
    def done(self) -> bool:
        return (self.folder / DONE[self.kind]).exists()


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """The paths of a study."""

    root: Path

    @property
    def settings(self) -> Path:
        return self.root / "study.json"

    def names(self, name: str) -> list[str]:
        """What a study with this name leaves in its folder, also one of an earlier version."""
        parts = (
            "study.json",
            "logs",
            "problems",
            "initial_models",
            "samples",
            "search",
            "runs",
            "selection",
            "probes",
        )
        return [*parts, *moved.FOLDERS, f"{name}.json", f"{name}.html", "summary.json", "index.html"]

    def results(self, name: str) -> Path:
        return self.root / f"{name}.json"

    def page(self, name: str) -> Path:
        return self.root / f"{name}.html"

    def problems(self, split: str) -> Path:
        return self.root / "problems" / f"{split}.jsonl"

    def tasks(self, split: str) -> Path:
        """Alignment tasks on the references of a split."""
        return self.root / "problems" / f"{split}_tasks.jsonl"

    def test_outputs(self, split: str) -> Path:
        return self.root / "problems" / f"{split}_test_outputs.jsonl"

    @property
    def taught_questions(self) -> Path:
        """Questions with answers for warm starts."""
        return self.root / "problems" / "taught_questions.jsonl"

    def initial_model(self, name: str, seed: int) -> Path:
        return self.root / "initial_models" / name / f"seed-{seed}"

    def samples(self, name: str, seed: int) -> Path:
        return self.root / "samples" / name / f"seed-{seed}"

    def search(self, arm: str, number: int) -> Path:
        return self.root / "search" / arm / str(number)

    def run(self, arm: str, seed: int) -> Path:
        return self.root / "runs" / arm / f"seed-{seed}"

    def programs(self, writer: str, seed: int) -> Path:
        return self.root / "selection" / writer / f"seed-{seed}" / "programs"

    def predictions(self, writer: str, reader: str, seed: int) -> Path:
        return self.root / "selection" / writer / f"seed-{seed}" / f"by-{reader}"

    def probe(self, seed: int) -> Path:
        return self.root / "probes" / f"seed-{seed}" / "probe"

    def log(self, job: StudyJob) -> Path:
        return self.root / "logs" / f"{job.key.replace('/', '-')}.txt"
