"""A study as jobs: what each needs, and what it is made of (`fingerprints.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coderlplus.errors import ConfigError
from coderlplus.report.folders import read_object
from coderlplus_lab.study.fingerprints import of_initial_model, of_problems, of_run
from coderlplus_lab.study.folder import StudyFolder, StudyJob
from coderlplus_lab.study.settings import OFF_POLICY_TASKS, Study
from coderlplus_lab.study.tries import searched, tried


def plan(study: Study, layout: StudyFolder) -> dict[str, StudyJob]:
    """All jobs by key, each after those that it needs."""
    problems = StudyJob(kind="problems", folder=layout.root / "problems", fingerprint=of_problems(study))
    jobs = {"problems": problems}
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


def _initial_model_jobs(study: Study, layout: StudyFolder, arm: str, seed: int) -> list[StudyJob]:
    """The initial model of an arm and its samples, as far as they have to be made."""
    name, number = study.initial_model_of(arm), study.warm_start_seed(seed)
    initial = study.initial_models[name]
    jobs = []
    fingerprint: dict[str, Any] = {"initial_model": of_initial_model(study, name), "seed": number}
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
        fingerprint |= {"problems": of_problems(study) if on_problems else None}
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
            "problems": of_problems(study),
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
            fingerprint=of_run(study, arm, search.seed, tried(study, arm, number), before),
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
        fingerprint=of_run(study, arm, seed, {}, before) | {"search": [dict(job.fingerprint) for job in search]},
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
