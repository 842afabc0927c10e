"""Probes from files to numbers, in a folder that can be resumed.

    settings.json           what the folder is made of; another model, file or setting is refused
    passages/*.jsonl        texts with marks and facts; programs/*.jsonl: what each model wrote itself
    activations/MODEL/PART  hidden states at the marks
    scores.jsonl            what each probe got right, program by program
    results.json, .md       the numbers

Every file is complete or absent, and a line of the scores is written when its probe is done: after an interruption the
same call resumes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from coderlplus.errors import ConfigError, DataError, counted
from coderlplus.progress import Track
from coderlplus.records.files import atomic_write, held, remove
from coderlplus.records.journal import Fields, Journal
from coderlplus.sandbox import AnySandbox
from coderlplus.sandbox.backends import open_sandbox
from coderlplus.terminal import note
from coderlplus_lab.probes import linear
from coderlplus_lab.probes.activations import Activations, Plan, spaced
from coderlplus_lab.probes.models import UNTRAINED, Reader
from coderlplus_lab.probes.passages import Passage
from coderlplus_lab.probes.results import Readers, fact_numbers, own_differences, summary, write_results
from coderlplus_lab.probes.rows import FactRows, Selection, select
from coderlplus_lab.probes.scores import NO_LAYER, TOKENS, by_unit, score_key
from coderlplus_lab.probes.sources import ProbedPrograms, read_sources
from coderlplus_lab.probes.tokens import bags
from coderlplus_lab.probes.writing import own_cases, passages_of, write_programs

OWN = "own"
OF_PROBES = (
    *("settings.json", "passages", "programs", "activations", "scores.jsonl"),
    *("results.json", "results.md", "index.html"),
)
"""What probes leave in their folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """What the numbers depend on beside models and files."""

    rows: int = 1000
    """Rows of each fact, at most."""
    layers: int = 9
    """Layers that are probed, evenly spaced, the embedding and the last among them."""
    seed: int = 0
    """Of the choice of rows, the folds, the shuffled labels and the untrained model."""
    own: bool = True
    """Let each model also write a program for each problem, and probe the states while it writes."""
    max_tokens: int = 512
    """New tokens of a program that a model writes, at most; a longer one is left out."""
    prompt: str | None = None
    """How a problem is asked, as `prompt_template` in training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One context: passages, which models read them, what is asked about them. `name` is `task` (alignment tasks with
    their right answers), `given` (problems with a program that is given as the answer) or `own/MODEL` (with the
    program that the model wrote itself)."""

    name: str
    models: tuple[str, ...]
    passages: Sequence[Passage]
    selection: Selection
    left_out: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Probing:
    """What all steps need; `untrained` is model → the name of the untrained model of its shape."""

    folder: Path
    readers: Mapping[str, Reader]
    untrained: Mapping[str, str]
    settings: ProbeSettings
    track: Track

    def layers(self, model: str) -> list[int]:
        return spaced(self.readers[model].layers, self.settings.layers)

    def tokens_name(self, model: str) -> str:
        """The reader of the tokens alone."""
        return f"{TOKENS} {self.readers[model].tokenizer_digest}"

    def who_reads(self, part: _Part) -> dict[str, tuple[str, bool]]:
        """The readers of a part: name → the model whose tokenizer and shape it has, and whether it is untrained."""
        found = {name: (name, False) for name in part.models}
        for name in part.models:
            found.setdefault(self.untrained[name], (name, True))
        return found


def probe(
    folder: Path,
    models: Mapping[str, str],
    programs: Sequence[Path],
    settings: ProbeSettings,
    track: Track,
    open_tracer: Callable[[], AnySandbox] = open_sandbox,
    *,
    overwrite: bool = False,
    then: Callable[[Mapping[str, Any]], None] = lambda results: None,
) -> dict[str, Any]:
    """Probe models (a short name for each → its folder, or its name on the hub) on files of problems and tasks;
    returns, and writes, the results. `open_tracer` opens the sandbox in which programs are traced. With `overwrite`
    what the folder has of probes is removed first. `then` gets the results while nobody else may write the folder.

    Raises `ConfigError` if a model cannot be used or the folder holds something else, `DataError` for files that
    cannot be used.
    """
    linear.check_installed()
    sources = read_sources(programs, settings.prompt)
    readers = {name: Reader(model) for name, model in models.items()}
    for asked in readers.values() if settings.own and sources.asked else ():
        if asked.tokenizer.chat_template is None:
            raise ConfigError(
                f"the tokenizer of {asked.model} has no chat template, so it cannot be asked for programs; add "
                "--no-own"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write {folder}: {error.strerror}; name another folder with -o") from error
    with held(folder):
        claim(folder, readers, programs, settings, overwrite=overwrite)
        run = _Probing(folder=folder, readers=readers, untrained=_untrained(readers), settings=settings, track=track)
        parts = _parts(run, sources, open_tracer)
        activations = _activations(run, parts)
        with Journal(folder / "scores.jsonl", Fields, lambda line: (line["question_id"], line["sample"])) as journal:
            todo = [
                (part, rows, reader, layer)
                for part in parts
                for rows in part.selection.facts
                for reader, layer in _asked(run, part)
            ]
            if (folder / "results.json").exists():
                note(f"{folder} is complete; use --overwrite to probe again")
            elif len(journal):
                note(f"continuing {folder}: {counted(len(journal), 'probe')} done already")
            for part, rows, reader, layer in track(todo, "probe", len(todo)):
                _score(run, journal, activations, part, rows, reader, layer)
            results = _results(run, parts, journal.to_dict()) | {"left_out": sources.left_out}
        write_results(folder, results)
        then(results)
    return results


def check_probed(results: Mapping[str, Any]) -> None:
    """Raises `DataError` if there were too few programs to probe any fact."""
    parts = results["parts"].values()
    if not any(part["facts"] for part in parts):
        count = max((part["programs"] for part in parts), default=0)
        why = next((reason for part in parts for reason in part["not_probed"].values()), "no program has any mark")
        few = f"{counted(count, 'program')} {'is' if count == 1 else 'are'} too few"
        raise DataError(f"{few}: no fact of them can be probed ({why}); give more with --programs")


def claim(
    folder: Path,
    readers: Mapping[str, Reader],
    programs: Sequence[Path],
    settings: ProbeSettings,
    *,
    overwrite: bool = False,
) -> None:
    """Make the folder that of these probes, with `overwrite` in place of others. Raises `ConfigError` if it cannot be
    written or belongs to others."""
    fingerprint = {
        "models": {name: [reader.model, reader.version] for name, reader in readers.items()},
        "programs": {str(path): hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in programs},
    } | asdict(settings)
    path = folder / "settings.json"
    try:
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path} ({error}); use another folder with -o, or remove this one") from error
    if overwrite and before is not None:
        remove(folder, OF_PROBES)
        atomic_write(path, json.dumps(fingerprint, indent=1) + "\n")
        before = fingerprint
    changed = [name for name in fingerprint if before is not None and before.get(name) != fingerprint[name]]
    if changed:
        raise ConfigError(
            f"{folder} holds probes with other {' and '.join(changed)}; use another folder with -o, or --overwrite to "
            "replace them"
        )
    try:
        if before is None and any(one.suffix != ".partial" and one.name != ".lock" for one in folder.iterdir()):
            raise ConfigError(f"{folder} is not empty and has no probes; use another folder with -o")
        if before is None:
            atomic_write(path, json.dumps(fingerprint, indent=1) + "\n")
        for name in ("passages", "programs"):
            (folder / name).mkdir(exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write {folder}: {error.strerror}; use another folder with -o") from error


def _parts(run: _Probing, sources: ProbedPrograms, open_tracer: Callable[[], AnySandbox]) -> list[_Part]:
    parts = []
    with ExitStack() as stack:
        sandbox = cache(lambda: stack.enter_context(open_tracer()))
        for name, cases in (("task", sources.tasks), ("given", sources.given)):
            if cases:
                path = run.folder / "passages" / f"{name}.jsonl"
                passages, reasons = passages_of(path, cases, sandbox, run.track)
                parts.append(_part(run, name, tuple(run.readers), passages, reasons))
        for name, reader in run.readers.items() if run.settings.own and sources.asked else ():
            file = f"{name.replace('/', '--')}.jsonl"
            path = run.folder / "programs" / file
            written = write_programs(path, reader.model, sources.asked, run.settings.max_tokens, run.track)
            own, unread = own_cases(sources.asked, written)
            passages, reasons = passages_of(run.folder / "passages" / f"{OWN}-{file}", own, sandbox, run.track)
            kept = [one for one in passages if reader.count(one.completion) == written[one.passage_id].tokens]
            other = {"tokens of the text are not those written": len(passages) - len(kept)}
            parts.append(_part(run, f"{OWN}/{name}", (name,), passages, reasons | unread | other))
    return parts


def _part(
    run: _Probing, name: str, models: tuple[str, ...], passages: Sequence[Passage], left_out: Mapping[str, int]
) -> _Part:
    readers = [run.readers[model] for model in models]
    short = [one for one in passages if all(len(reader.tokens(one).ids) <= reader.window for reader in readers)]
    reasons = {**left_out, "longer than a model's window": len(passages) - len(short)}
    return _Part(
        name=name,
        models=models,
        passages=short,
        selection=select(short, rows=run.settings.rows, seed=run.settings.seed),
        left_out={reason: count for reason, count in reasons.items() if count},
    )


def _untrained(readers: Mapping[str, Reader]) -> dict[str, str]:
    """Model → the name of the untrained model of its shape."""
    shapes = {name: reader.shape for name, reader in readers.items()}
    first: dict[str, str] = {}
    for name, shape in shapes.items():
        first.setdefault(shape, name)
    return {name: UNTRAINED if len(first) == 1 else f"{UNTRAINED} {first[shape]}" for name, shape in shapes.items()}


def _activations(run: _Probing, parts: Sequence[_Part]) -> dict[tuple[str, str], Activations]:
    """(Part, reader) → its activations, made where they are missing; each model is loaded once."""
    found: dict[tuple[str, str], Activations] = {}
    weights_of: dict[str, tuple[str, bool]] = {}
    for part in parts:
        for name, (model, is_untrained) in run.who_reads(part).items():
            tokens = [run.readers[model].tokens(passage) for passage in part.passages]
            plan = Plan(tokens=tokens, marks=part.selection.marks, layers=run.layers(model))
            folder = run.folder / "activations" / name.replace("/", "--") / part.name.replace("/", "--")
            found[part.name, name] = Activations(folder, plan)
            weights_of.setdefault(name, (model, is_untrained))
    for name, (model, is_untrained) in weights_of.items():
        of_reader = [activations for (_, reader), activations in found.items() if reader == name]
        todo = [(activations, shard) for activations in of_reader for shard in activations.missing()]
        if todo:
            weights = run.readers[model].weights(untrained=is_untrained, seed=run.settings.seed)
            for activations, shard in run.track(todo, f"read {name}", len(todo)):
                activations.compute(weights, shard)
            del weights
    return found


def _asked(run: _Probing, part: _Part) -> list[tuple[str, int]]:
    """The readers of a part, each with its layers; the tokens once for each tokenizer."""
    found = [(run.tokens_name(name), NO_LAYER) for name in part.models]
    for name, (model, _) in run.who_reads(part).items():
        found += [(name, layer) for layer in run.layers(model)]
    return list(dict.fromkeys(found))


def _score(
    run: _Probing,
    journal: Journal[tuple[str, int], Fields],
    activations: Mapping[tuple[str, str], Activations],
    part: _Part,
    rows: FactRows,
    reader: str,
    layer: int,
) -> None:
    """Make the scores of a reader at a layer on a fact that are not in the journal yet."""
    wanted = [
        (shuffled, score_key(part.name, reader, rows.fact.key, shuffled=shuffled))
        for shuffled in ((False, True) if reader in run.readers else (False,))
    ]
    missing = [(shuffled, key) for shuffled, key in wanted if (key, layer) not in journal]
    if not missing:
        return
    if layer == NO_LAYER:
        name = next(name for name in part.models if run.tokens_name(name) == reader)
        tokens, tokenizer = activations[part.name, name].plan.tokens, run.readers[name].tokenizer
        marks = [part.selection.marks[place] for place in rows.places]
        features = bags(tokens, marks, cache(lambda token: "\n" in tokenizer.decode([token])))
    else:
        features = activations[part.name, reader].rows(layer, rows.places)
    folds = linear.folds_of(rows.labels, rows.units, run.settings.seed)
    for shuffled, key in missing:
        classes = linear.shuffled(rows.labels, folds, run.settings.seed) if shuffled else rows.labels
        hits = linear.right(features, classes, folds)
        journal.append(Fields(question_id=key, sample=layer, right=by_unit(hits, rows.units)))


def _results(run: _Probing, parts: Sequence[_Part], scores: Mapping[tuple[str, int], Fields]) -> dict[str, Any]:
    done: dict[str, Any] = {}
    own = {}
    for part in parts:

        def right(reader: str, fact: str, layer: int, shuffled: bool, part: str = part.name) -> Sequence[int]:
            right_by_program: list[int] = scores[score_key(part, reader, fact, shuffled=shuffled), layer]["right"]
            return right_by_program

        who = Readers(
            untrained={name: run.untrained[name] for name in part.models},
            tokens={name: run.tokens_name(name) for name in part.models},
            layers={name: run.layers(name) for name in part.models},
        )
        facts = part.selection.facts
        made = [fact_numbers(rows, who, right) for rows in facts]
        read = (facts, [one for _, one in made])
        done[part.name] = {
            "passages": len(part.passages),
            "programs": len({passage.unit for passage in part.passages}),
            "left_out": part.left_out,
            "not_probed": part.selection.left_out,
            "summary": summary(read),
            "facts": {rows.fact.key: numbers for rows, (numbers, _) in zip(facts, made, strict=True)},
        }
        if part.name.startswith(f"{OWN}/"):
            own[part.models[0]] = read
    models = {
        name: {"model": reader.model, "layers": reader.layers, "untrained": run.untrained[name]}
        for name, reader in run.readers.items()
    }
    settings = asdict(run.settings)
    return {"models": models, "settings": settings, "parts": done, "own_differences": own_differences(own)}
