"""A study as jobs: what each needs, what it is made of, and whether it is done.

    STUDY/study.json                         the settings, for the processes of the jobs
          problems/                          problems and questions of the splits
          starts/NAME/seed-N/                a model of the small world, taught: a run folder
          samples/NAME/seed-N/               what a start wrote for the training problems
          search/ARM/N/                      an arm with the Nth searched setting: a run folder, measured.json
          cells/ARM/seed-N/                  an arm with a seed: a run folder and measured.json
          probes/seed-N/                     hidden states of the probed arms: a folder of `coderlplus-lab probe`
          NAME.json, NAME.html               numbers and page of the study with that name

A job is done when its last file is there. Beside it stands what it was made of (`made_of.yaml`), so that no result of
other settings is kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from coderlplus.engines.run_folder import differences
from coderlplus.errors import ConfigError
from coderlplus_lab.study.settings import OFF_POLICY_TASKS, Study

Kind = Literal["problems", "start", "samples", "search", "cell", "probe"]
MADE_OF = "made_of.yaml"
MEASURED = "measured.json"
WALL = "wall.json"
"""How long a job took in all, interrupted tries included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something to make: `name` says which of its `kind` (a start, an arm; none for problems and probes), `number` its
    seed, or which settings of the search."""

    kind: Kind
    name: str = ""
    number: int = 0
    folder: Path
    done_file: Path
    needs: tuple[str, ...] = ()
    made_of: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What it is called: `cell/grpo/0`, `probe/0`, `problems`."""
        return (
            self.kind
            if self.kind == "problems"
            else "/".join(part for part in (self.kind, self.name, str(self.number)) if part)
        )

    @property
    def done(self) -> bool:
        return self.done_file.exists()


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of a study."""

    root: Path

    @property
    def settings(self) -> Path:
        return self.root / "study.json"

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

    def start(self, name: str, seed: int) -> Path:
        return self.root / "starts" / name / f"seed-{seed}"

    def samples(self, name: str, seed: int) -> Path:
        return self.root / "samples" / name / f"seed-{seed}"

    def search(self, arm: str, number: int) -> Path:
        return self.root / "search" / arm / str(number)

    def cell(self, arm: str, seed: int) -> Path:
        return self.root / "cells" / arm / f"seed-{seed}"

    def probe(self, seed: int) -> Path:
        return self.root / "probes" / f"seed-{seed}" / "probe"

    def log(self, job: Job) -> Path:
        return self.root / "logs" / f"{job.key.replace('/', '-')}.txt"


def plan(study: Study, layout: Layout) -> dict[str, Job]:
    """All jobs by key, each after those that it needs."""
    jobs = {"problems": _problems(study, layout)}
    seeds = dict.fromkeys(seed for arm in study.arms for seed in study.arm_seeds(arm))
    for seed, arm in itertools.product(seeds, study.arms):  # all arms of a seed first: what is there can be compared
        if seed in study.arm_seeds(arm):
            for job in (
                *_start_jobs(study, layout, arm, seed),
                *_search_jobs(study, layout, arm),
                _cell(study, layout, arm, seed),
            ):
                jobs.setdefault(job.key, job)
    for seed in study.probe_seeds():
        job = _probe(study, layout, seed, jobs)
        jobs[job.key] = job
    return jobs


def wanted(jobs: Mapping[str, Job], cells: list[str]) -> dict[str, Job]:
    """The jobs of some cells (`ARM/SEED`, or `ARM` for all its seeds) and what they need. Raises `ConfigError` for one
    that is not in the study."""
    if not cells:
        return dict(jobs)
    keep: set[str] = set()
    for cell in cells:
        found = [key for key in jobs if key == f"cell/{cell}" or key.startswith(f"cell/{cell}/")]
        if not found:
            arms = dict.fromkeys(job.name for job in jobs.values() if job.kind == "cell")
            raise ConfigError(
                f"the study has no cell {cell!r}; write ARM/SEED or ARM, with ARM one of {', '.join(arms)}"
            )
        keep.update(found)
    todo = list(keep)
    while todo:
        for key in jobs[todo.pop()].needs:
            if key not in keep:
                keep.add(key)
                todo.append(key)
    return {key: job for key, job in jobs.items() if key in keep}


def check_kept(jobs: Mapping[str, Job]) -> None:
    """Raises `ConfigError` if a folder has something that was made or started with other settings."""
    for job in jobs.values():
        path = job.folder / MADE_OF
        if not path.exists():
            continue
        changed = differences(path.read_text(encoding="utf-8"), made_of_text(job))
        if changed:
            raise ConfigError(
                f"{job.folder} was made with other settings ({changed[0]}); choose another output or remove that "
                "folder"
            )


def made_of_text(job: Job) -> str:
    return yaml.safe_dump(_plain(job.made_of), sort_keys=True, allow_unicode=True, width=120)


def choices(values: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """All combinations of dotted settings.

    >>> choices({"a": [1, 2], "b": [3]})
    [{'a': 1, 'b': 3}, {'a': 2, 'b': 3}]
    """
    return [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]


def searched(study: Study, arm: str) -> list[dict[str, Any]]:
    """The settings that are tried for an arm; none where nothing is searched or trained."""
    if study.search is None:
        return []
    if study.arms[arm].train is not None:
        return choices(study.search.train)
    return choices(study.search.supervised) if study.arms[arm].supervised is not None else []


def needs_samples(study: Study, arm: str) -> bool:
    """Whether an arm learns from what its start wrote."""
    one = study.arms[arm]
    if one.supervised is not None:
        return study.supervised_settings(arm).examples == "passed"
    alignment = study.train_settings(arm).get("alignment") if one.train is not None else None
    return isinstance(alignment, Mapping) and alignment.get("task_file") == OFF_POLICY_TASKS


def _problems(study: Study, layout: Layout) -> Job:
    folder = layout.root / "problems"
    questions = sorted({kind for start in study.starts.values() for kind in start.questions})
    made_of = {
        "world": study.world.model_dump(mode="json", exclude_none=True) if study.world else None,
        "problems": study.problems.model_dump(mode="json") if study.problems else None,
        "prompt_style": study.prompt_style,
        "questions": questions,
        "prompt_template": study.train.get("prompt_template"),
    }
    return Job(kind="problems", folder=folder, done_file=folder / "complete.json", made_of=made_of)


def _start_jobs(study: Study, layout: Layout, arm: str, seed: int) -> list[Job]:
    """The start of an arm and its samples, as far as they have to be made."""
    name, number = study.start_of(arm), study.start_seed(seed)
    start, problems = study.starts[name], _problems(study, layout)
    jobs = []
    start_key: tuple[str, ...] = ()
    made_of: dict[str, Any] = {"start": start.model_dump(mode="json"), "seed": number}
    if start.model is None:
        folder = layout.start(name, number)
        made_of |= {"operations": list(study.world.operations) if study.world else []}
        job = Job(
            kind="start",
            name=name,
            number=number,
            folder=folder,
            done_file=folder / "final" / "config.json",
            needs=("problems",),
            made_of=made_of | {"problems": dict(problems.made_of) if start.questions else None},
        )
        jobs.append(job)
        start_key = (job.key,)
        made_of = dict(job.made_of)
    if needs_samples(study, arm):
        folder = layout.samples(name, number)
        alignment = study.train.get("alignment")
        sampled = {
            "problems": dict(problems.made_of),
            "sampling": study.sampling.model_dump(),
            "measure": study.measure.max_new_tokens,
        }
        jobs.append(
            Job(
                kind="samples",
                name=name,
                number=number,
                folder=folder,
                done_file=folder / "complete.json",
                needs=("problems", *start_key),
                made_of={"start": made_of, **sampled, "alignment": alignment},
            )
        )
    return jobs


def _search_jobs(study: Study, layout: Layout, name: str) -> list[Job]:
    arm = study.search_arm(name)
    found = searched(study, arm)
    assert study.search is not None or not found
    jobs = []
    for number, chosen in enumerate(found):
        before = _start_jobs(study, layout, arm, study.search.seed)  # type: ignore[union-attr]
        jobs += before
        folder = layout.search(arm, number)
        made_of = _of_run(study, arm, study.search.seed, chosen, before)  # type: ignore[union-attr]
        needs = ("problems", *(job.key for job in before))
        jobs.append(
            Job(
                kind="search",
                name=arm,
                number=number,
                folder=folder,
                done_file=folder / MEASURED,
                needs=needs,
                made_of=made_of,
            )
        )
    return jobs


def _cell(study: Study, layout: Layout, arm: str, seed: int) -> Job:
    before = _start_jobs(study, layout, arm, seed)
    search = [job for job in _search_jobs(study, layout, arm) if job.kind == "search"]
    made_of = _of_run(study, arm, seed, {}, before) | {"search": [dict(job.made_of) for job in search]}
    folder = layout.cell(arm, seed)
    needs = ("problems", *(job.key for job in (*before, *search)))
    return Job(
        kind="cell", name=arm, number=seed, folder=folder, done_file=folder / MEASURED, needs=needs, made_of=made_of
    )


def _probe(study: Study, layout: Layout, seed: int, jobs: Mapping[str, Job]) -> Job:
    """The probes of a seed's models."""
    assert study.probe is not None
    cells = {arm: jobs[f"cell/{arm}/{seed}"] for arm in study.probe.arms}
    made_of = study.probe.model_dump() | {"models": {arm: dict(job.made_of) for arm, job in cells.items()}}
    folder = layout.probe(seed)
    needs = ("problems", *(job.key for job in cells.values()))
    return Job(
        kind="probe",
        number=seed,
        folder=folder.parent,
        done_file=folder / "results.json",
        needs=needs,
        made_of=made_of,
    )


def _of_run(study: Study, arm: str, seed: int, chosen: Mapping[str, Any], before: list[Job]) -> dict[str, Any]:
    """All that the numbers of a run depend on."""
    one = study.arms[arm]
    how: dict[str, Any] = {"start": study.starts[study.start_of(arm)].model_dump(mode="json")}
    if one.train is not None:
        how = {"train": study.train_settings(arm, chosen)}
    elif one.supervised is not None:
        how = {
            "supervised": study.supervised_settings(arm, chosen).model_dump(),
            "answer_template": study.answer_template,
        }
    problems = _problems(study, Layout(Path())).made_of
    made_before = {job.kind: dict(job.made_of) for job in before}
    return how | {
        "seed": seed,
        "measure": study.measure.model_dump(),
        "problems": dict(problems),
        "before": made_before,
    }


def _plain(value: Any) -> Any:
    """The same in lists, mappings and scalars."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
