"""A study as jobs: what each needs, what it is made of, and whether it is done.

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

import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from coderlplus import moved
from coderlplus.engines.resuming import differences
from coderlplus.errors import ConfigError
from coderlplus.records.outputs import digest
from coderlplus.report.folders import read_object
from coderlplus_lab.study.settings import OFF_POLICY_TASKS, Study

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


def plan(study: Study, layout: StudyFolder) -> dict[str, StudyJob]:
    """All jobs by key, each after those that it needs."""
    jobs = {"problems": _problems(study, layout)}
    seeds = dict.fromkeys(seed for arm in study.arms for seed in study.arm_seeds(arm))
    for seed in seeds:  # all arms of a seed first: what is there can be compared
        for arm in (arm for arm in study.arms if seed in study.arm_seeds(arm)):
            for job in (
                *_initial_model_jobs(study, layout, arm, seed),
                *_search_jobs(study, layout, arm),
                _run(study, layout, arm, seed),
            ):
                jobs.setdefault(job.key, job)
        for job in _selection_jobs(study, layout, seed, jobs):
            jobs[job.key] = job
    for job in [_probe(study, layout, seed, jobs) for seed in study.probe_seeds()]:
        jobs[job.key] = job
    return jobs


def wanted(jobs: Mapping[str, StudyJob], runs: list[str]) -> dict[str, StudyJob]:
    """The jobs of some runs (`ARM/SEED`, or `ARM` for all its seeds), or of the keys of other jobs or what they begin
    with (`predictions/ARM`), and what they need. Raises `ConfigError` for one that is not in the study."""
    if not runs:
        return dict(jobs)
    keep: set[str] = set()
    for run in runs:
        found = [key for key in jobs if f"{key}/".startswith((f"run/{run}/", f"{run}/"))]
        if not found:
            arms = dict.fromkeys(job.name for job in jobs.values() if job.kind == "run")
            raise ConfigError(
                f"the study has no run {run!r}; write ARM/SEED or ARM, with ARM one of {', '.join(arms)}"
            )
        keep.update(found)
    todo = list(keep)
    while todo:
        for key in jobs[todo.pop()].needs:
            if key not in keep:
                keep.add(key)
                todo.append(key)
    return {key: job for key, job in jobs.items() if key in keep}


def check_version(layout: StudyFolder) -> None:
    """Raises `ConfigError` where the folder was made by a version that named its parts otherwise."""
    for name in moved.FOLDERS:
        if (layout.root / name).is_dir():
            raise ConfigError(
                f"{layout.root} was made by an earlier version of coderlplus (it has {name}/); choose another output, "
                "or add --overwrite to begin anew"
            )


def check_kept(jobs: Mapping[str, StudyJob]) -> None:
    """Raises `ConfigError` if a folder has something that was made or started with other settings."""
    for job in jobs.values():
        path = job.folder / FINGERPRINT
        if not path.exists():
            continue
        changed = differences(path.read_text(encoding="utf-8"), fingerprint_text(job))
        if changed:
            raise ConfigError(
                f"{job.folder} was made with other settings ({changed[0]}); choose another output, or "
                "add --overwrite to begin anew"
            )


def fingerprint_text(job: StudyJob) -> str:
    return yaml.safe_dump(_plain(job.fingerprint), sort_keys=True, allow_unicode=True, width=120)


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


def tried(study: Study, arm: str, number: int) -> dict[str, Any]:
    """The settings of a try: those that are searched, and its length."""
    assert study.search is not None
    steps = study.search.steps if study.arms[arm].train is not None else None
    return searched(study, arm)[number] | ({} if steps is None else {"trl.max_steps": steps})


def needs_samples(study: Study, arm: str) -> bool:
    """Whether an arm learns from what its initial model wrote."""
    one = study.arms[arm]
    if one.supervised is not None:
        return study.supervised_settings(arm).examples == "passed"
    alignment = study.train_settings(arm).get("alignment") if one.train is not None else None
    return isinstance(alignment, Mapping) and alignment.get("task_file") == OFF_POLICY_TASKS


def spent_before(study: Study, layout: StudyFolder, arm: str, seed: int) -> tuple[float, float]:
    """Completions and seconds that were spent on an arm before its training: on what its initial model wrote."""
    folder = layout.samples(study.initial_model_of(arm), study.warm_start_seed(seed))
    spent = read_object(folder / "complete.json") if needs_samples(study, arm) else {}
    return spent.get("samples", 0.0), spent.get("seconds", 0.0)


def _problems(study: Study, layout: StudyFolder) -> StudyJob:
    fingerprint: dict[str, Any] = {
        "world": study.world.model_dump(mode="json", exclude_none=True) if study.world else None,
        "problems": study.problems.model_dump(mode="json") if study.problems else None,
        "prompt_style": study.prompt_style,
        "questions": study.questions,
        "prompt_template": study.train.get("prompt_template"),
    }
    if study.problems is not None:
        fingerprint["contents"] = [contents(path) for path in fingerprint["problems"].values()]
    return StudyJob(kind="problems", folder=layout.root / "problems", fingerprint=fingerprint)


def contents(path: str) -> str | None:
    """What a file, or the folder of a model, holds; `None` for what is not here, such as a name on the hub."""
    try:
        parts = sorted(Path(path).iterdir()) if Path(path).is_dir() else [Path(path)]
        states = [(part.name, part.stat().st_mtime_ns, part.stat().st_size) for part in parts]
    except OSError:
        return None
    return _contents(path, tuple(states))


@functools.cache
def _contents(path: str, states: tuple[tuple[str, int, int], ...]) -> str | None:
    return digest(Path(path))  # once for each state of the files


def _initial(study: Study, name: str) -> dict[str, Any]:
    """What an initial model is, and where it is a folder what is in that."""
    settings: dict[str, Any] = study.initial_models[name].model_dump(mode="json")
    held = None if settings["model"] is None else contents(settings["model"])
    return settings if held is None else settings | {"contents": held}


def _initial_model_jobs(study: Study, layout: StudyFolder, arm: str, seed: int) -> list[StudyJob]:
    """The initial model of an arm and its samples, as far as they have to be made."""
    name, number = study.initial_model_of(arm), study.warm_start_seed(seed)
    initial, problems = study.initial_models[name], _problems(study, layout)
    jobs = []
    fingerprint: dict[str, Any] = {"initial_model": _initial(study, name), "seed": number}
    if initial.is_made:
        fingerprint |= {"operations": list(study.world.operations) if study.world else []}
        if study.world is not None and study.world.name is not None:
            fingerprint |= {"world": study.world.name}
        if initial.supervised is not None:
            fingerprint |= {
                "supervised": study.start_settings(name).model_dump(),
                "answer_template": study.answer_template,
                "system_prompt": study.train.get("system_prompt"),
            }
        on_problems = initial.questions or initial.supervised is not None
        fingerprint |= {"problems": dict(problems.fingerprint) if on_problems else None}
        jobs.append(
            StudyJob(
                kind="initial_model",
                name=name,
                number=number,
                folder=layout.initial_model(name, number),
                needs=("problems",),
                fingerprint=fingerprint,
            )
        )
    if needs_samples(study, arm):
        sampled = {
            "initial_model": fingerprint,
            "problems": dict(problems.fingerprint),
            "sampling": study.sampling.model_dump(),
            "measure": study.measure.max_new_tokens,
            "alignment": study.train.get("alignment"),
        }
        jobs.append(
            StudyJob(
                kind="samples",
                name=name,
                number=number,
                folder=layout.samples(name, number),
                needs=("problems", *(job.key for job in jobs)),
                fingerprint=sampled,
            )
        )
    return jobs


def _search_jobs(study: Study, layout: StudyFolder, name: str) -> list[StudyJob]:
    """The search for the settings of an arm, and what it needs."""
    arm, search = study.search_arm(name), study.search
    if search is None:
        return []
    before = _initial_model_jobs(study, layout, arm, search.seed)
    tries = [
        StudyJob(
            kind="search",
            name=arm,
            number=number,
            folder=layout.search(arm, number),
            needs=("problems", *(job.key for job in before)),
            fingerprint=_of_run(study, arm, search.seed, tried(study, arm, number), before),
        )
        for number in range(len(searched(study, arm)))
    ]
    return [*before, *tries] if tries else []


def _run(study: Study, layout: StudyFolder, arm: str, seed: int) -> StudyJob:
    before = _initial_model_jobs(study, layout, arm, seed)
    search = [job for job in _search_jobs(study, layout, arm) if job.kind == "search"]
    return StudyJob(
        kind="run",
        name=arm,
        number=seed,
        folder=layout.run(arm, seed),
        needs=("problems", *(job.key for job in (*before, *search))),
        fingerprint=_of_run(study, arm, seed, {}, before) | {"search": [dict(job.fingerprint) for job in search]},
    )


def _selection_jobs(study: Study, layout: StudyFolder, seed: int, jobs: Mapping[str, StudyJob]) -> list[StudyJob]:
    """What the arms of a seed write to be chosen from, and what is predicted about it."""
    made: list[StudyJob] = []
    for writer, readers in study.selections(seed).items():
        assert study.selection is not None
        run = jobs[f"run/{writer}/{seed}"]
        programs = StudyJob(
            kind="programs",
            name=writer,
            number=seed,
            folder=layout.programs(writer, seed),
            needs=("problems", run.key),
            fingerprint={"samples": study.selection.samples, "model": dict(run.fingerprint)},
        )
        made.append(programs)
        for reader in readers:
            model = jobs[f"run/{reader}/{seed}"]
            made.append(
                StudyJob(
                    kind="predictions",
                    name=f"{writer}/{reader}",
                    number=seed,
                    folder=layout.predictions(writer, reader, seed),
                    needs=(programs.key, model.key),
                    fingerprint={"programs": dict(programs.fingerprint), "reader": dict(model.fingerprint)},
                )
            )
    return made


def _probe(study: Study, layout: StudyFolder, seed: int, jobs: Mapping[str, StudyJob]) -> StudyJob:
    """The probes of a seed's models."""
    assert study.probe is not None
    runs = {arm: jobs[f"run/{arm}/{seed}"] for arm in study.probe.arms}
    return StudyJob(
        kind="probe",
        number=seed,
        folder=layout.probe(seed).parent,
        needs=("problems", *(job.key for job in runs.values())),
        fingerprint=study.probe.model_dump() | {"models": {arm: dict(job.fingerprint) for arm, job in runs.items()}},
    )


def _of_run(study: Study, arm: str, seed: int, chosen: Mapping[str, Any], before: list[StudyJob]) -> dict[str, Any]:
    """All that the numbers of a run depend on."""
    one = study.arms[arm]
    is_trained = one.train is not None or one.supervised is not None
    initial = _initial(study, study.initial_model_of(arm))
    how: dict[str, Any] = {} if is_trained and initial["model"] is None else {"initial_model": initial}
    if one.train is not None:
        how |= {"train": study.train_settings(arm, chosen)}
    elif one.supervised is not None:
        how |= {
            "supervised": study.supervised_settings(arm, chosen).model_dump(),
            "answer_template": study.answer_template,
        }
    return how | {
        "seed": seed,
        "measure": study.measure.model_dump(exclude_none=True),
        "problems": dict(_problems(study, StudyFolder(Path())).fingerprint),
        "before": {job.kind: dict(job.fingerprint) for job in before},
    }


def _plain(value: Any) -> Any:
    """The same in lists, mappings and scalars."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
