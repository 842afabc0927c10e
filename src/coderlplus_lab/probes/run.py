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
from coderlplus.evaluation.records import Key, key_of
from coderlplus.progress import Track
from coderlplus.records.files import atomic_write, held, remove
from coderlplus.records.journal import Journal
from coderlplus.sandbox import AnySandbox
from coderlplus.sandbox.backends import open_sandbox
from coderlplus.terminal import note
from coderlplus_lab.probes import linear
from coderlplus_lab.probes.activations import Activations, Plan, spaced
from coderlplus_lab.probes.models import UNTRAINED, Reader
from coderlplus_lab.probes.passages import Passage
from coderlplus_lab.probes.results import Readers, fact_numbers, own_differences, summary, write_results
from coderlplus_lab.probes.rows import FactRows, Selection, select
from coderlplus_lab.probes.scores import NO_LAYER, TOKENS, Score, by_unit, score_key
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
    """One context: passages, which models read them, what is asked about them."""

    name: str
    models: tuple[str, ...]
    passages: Sequence[Passage]
    selection: Selection
    left_out: dict[str, int]


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
    for reader in readers.values() if settings.own and sources.asked else ():
        if reader.tokenizer.chat_template is None:
            raise ConfigError(
                f"the tokenizer of {reader.model} has no chat template, so it cannot be asked for programs; add "
                "--no-own"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write {folder}: {error.strerror}; name another folder with -o") from error
    with held(folder):
        claim(folder, readers, programs, settings, overwrite=overwrite)
        results = _run(folder, readers, sources, settings, track, open_tracer)
        then(results)
    return results


def _run(
    folder: Path,
    readers: Mapping[str, Reader],
    sources: ProbedPrograms,
    settings: ProbeSettings,
    track: Track,
    open_tracer: Callable[[], AnySandbox],
) -> dict[str, Any]:
    parts = _parts(folder, sources, readers, settings, track, open_tracer)
    untrained = _untrained(readers)
    activations = _activations(folder, parts, readers, untrained, settings, track)
    with Journal(folder / "scores.jsonl", Score.from_json, key_of) as journal:
        todo = [
            (part, rows, reader, layer)
            for part in parts
            for rows in part.selection.facts
            for reader, layer in _asked(part, readers, untrained, settings)
        ]
        if (folder / "results.json").exists():
            note(f"{folder} is complete; use --overwrite to probe again")
        elif len(journal):
            note(f"continuing {folder}: {counted(len(journal), 'probe')} done already")
        for part, rows, reader, layer in track(todo, "probe", len(todo)):
            _score(journal, part, rows, reader, layer, readers, activations, settings)
        results = _results(parts, readers, untrained, settings, journal)
    results |= {"left_out": sources.left_out}
    write_results(folder, results)
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
    files = {str(path): hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in programs}
    fingerprint = {
        "models": {name: [reader.model, reader.version] for name, reader in readers.items()},
        "programs": files,
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
        folder.mkdir(parents=True, exist_ok=True)
        if before is None and any(one.suffix != ".partial" and one.name != ".lock" for one in folder.iterdir()):
            raise ConfigError(f"{folder} is not empty and has no probes; use another folder with -o")
        if before is None:
            atomic_write(path, json.dumps(fingerprint, indent=1) + "\n")
        (folder / "passages").mkdir(exist_ok=True)
        (folder / "programs").mkdir(exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write {folder}: {error.strerror}; use another folder with -o") from error


def _parts(
    folder: Path,
    sources: ProbedPrograms,
    readers: Mapping[str, Reader],
    settings: ProbeSettings,
    track: Track,
    open_tracer: Callable[[], AnySandbox],
) -> list[_Part]:
    parts = []
    with ExitStack() as stack:
        opened: list[AnySandbox] = []

        def sandbox() -> AnySandbox:
            if not opened:
                opened.append(stack.enter_context(open_tracer()))
            return opened[0]

        for name, cases in (("task", sources.tasks), ("given", sources.given)):
            if cases:
                passages, reasons = passages_of(folder / "passages" / f"{name}.jsonl", cases, sandbox, track)
                parts.append(_part(name, passages, reasons, readers, settings))
        for name, reader in readers.items() if settings.own and sources.asked else ():
            stem = name.replace("/", "--")
            written = write_programs(
                folder / "programs" / f"{stem}.jsonl", reader.model, sources.asked, settings.max_tokens, track
            )
            own, unread = own_cases(sources.asked, written)
            passages, reasons = passages_of(folder / "passages" / f"{OWN}-{stem}.jsonl", own, sandbox, track)
            kept = [one for one in passages if reader.count(one.completion) == written[one.passage_id].tokens]
            other = {"tokens of the text are not those written": len(passages) - len(kept)}
            parts.append(_part(f"{OWN}/{name}", passages, reasons | unread | other, {name: reader}, settings))
    return parts


def _part(
    name: str,
    passages: Sequence[Passage],
    left_out: dict[str, int],
    readers: Mapping[str, Reader],
    settings: ProbeSettings,
) -> _Part:
    short = [
        one for one in passages if all(len(reader.tokens(one).ids) <= reader.window for reader in readers.values())
    ]
    reasons = {
        reason: count
        for reason, count in (left_out | {"longer than a model's window": len(passages) - len(short)}).items()
        if count
    }
    selection = select(short, rows=settings.rows, seed=settings.seed)
    return _Part(name=name, models=tuple(readers), passages=short, selection=selection, left_out=reasons)


def _untrained(readers: Mapping[str, Reader]) -> dict[str, str]:
    """Model → the name of the untrained model of its shape."""
    first: dict[str, str] = {}
    for name, reader in readers.items():
        first.setdefault(reader.shape, name)
    return {
        name: UNTRAINED if len(first) == 1 else f"{UNTRAINED} {first[reader.shape]}"
        for name, reader in readers.items()
    }


def _readers_of(part: _Part, untrained: Mapping[str, str]) -> dict[str, tuple[str, bool]]:
    """Who reads a part: name → the model whose tokenizer and shape it has, and whether it is untrained."""
    found = {name: (name, False) for name in part.models}
    for name in part.models:
        found.setdefault(untrained[name], (name, True))
    return found


def _activations(
    folder: Path,
    parts: Sequence[_Part],
    readers: Mapping[str, Reader],
    untrained: Mapping[str, str],
    settings: ProbeSettings,
    track: Track,
) -> dict[tuple[str, str], Activations]:
    """(Part, reader) → its activations, made where they are missing; each model is loaded once."""
    found: dict[tuple[str, str], Activations] = {}
    for part in parts:
        for name, (model, _) in _readers_of(part, untrained).items():
            reader = readers[model]
            tokens = [reader.tokens(passage) for passage in part.passages]
            plan = Plan(tokens=tokens, marks=part.selection.marks, layers=spaced(reader.layers, settings.layers))
            found[part.name, name] = Activations(
                folder / "activations" / name.replace("/", "--") / part.name.replace("/", "--"), plan
            )
    for name in dict.fromkeys(name for _, name in found):
        todo = [
            (activations, shard)
            for (_, reader), activations in found.items()
            if reader == name
            for shard in activations.missing()
        ]
        if todo:
            model, blank = next(
                who for part in parts for reader, who in _readers_of(part, untrained).items() if reader == name
            )
            weights = readers[model].weights(untrained=blank, seed=settings.seed)
            for activations, shard in track(todo, f"read {name}", len(todo)):
                activations.compute(weights, shard)
            del weights
    return found


def _asked(
    part: _Part, readers: Mapping[str, Reader], untrained: Mapping[str, str], settings: ProbeSettings
) -> list[tuple[str, int]]:
    """The readers of a part, each with its layers; the tokens once for each tokenizer."""
    found = [(_tokens_name(readers[name]), NO_LAYER) for name in part.models]
    for name, (model, _) in _readers_of(part, untrained).items():
        found += [(name, layer) for layer in spaced(readers[model].layers, settings.layers)]
    return list(dict.fromkeys(found))


def _tokens_name(reader: Reader) -> str:
    return f"{TOKENS} {reader.tokenizer_digest}"


def _score(
    journal: Journal[Key, Score],
    part: _Part,
    rows: FactRows,
    reader: str,
    layer: int,
    readers: Mapping[str, Reader],
    activations: Mapping[tuple[str, str], Activations],
    settings: ProbeSettings,
) -> None:
    """Make the scores of a reader at a layer on a fact that are not in the journal yet."""
    is_trained = reader in readers
    wanted = [
        (shuffled, score_key(part.name, reader, rows.fact.key, shuffled=shuffled))
        for shuffled in ((False, True) if is_trained else (False,))
    ]
    missing = [(shuffled, key) for shuffled, key in wanted if (key, layer) not in journal]
    if not missing:
        return
    if layer == NO_LAYER:
        name = next(name for name in part.models if _tokens_name(readers[name]) == reader)
        tokens, tokenizer = activations[part.name, name].plan.tokens, readers[name].tokenizer
        marks = [part.selection.marks[place] for place in rows.places]
        features = bags(tokens, marks, cache(lambda token: "\n" in tokenizer.decode([token])))
    else:
        features = activations[part.name, reader].rows(layer, rows.places)
    folds = linear.folds_of(rows.labels, rows.units, settings.seed)
    for shuffled, key in missing:
        classes = linear.shuffled(rows.labels, folds, settings.seed) if shuffled else rows.labels
        hits = linear.right(features, classes, folds)
        journal.append(Score(question_id=key, sample=layer, right=by_unit(hits, rows.units)))


def _results(
    parts: Sequence[_Part],
    readers: Mapping[str, Reader],
    untrained: Mapping[str, str],
    settings: ProbeSettings,
    journal: Journal[Key, Score],
) -> dict[str, Any]:
    done: dict[str, Any] = {}
    own = {}
    scores = journal.to_dict()
    for part in parts:

        def right(reader: str, fact: str, layer: int, shuffled: bool, part: str = part.name) -> Sequence[int]:
            return scores[score_key(part, reader, fact, shuffled=shuffled), layer].right

        who = Readers(
            untrained={name: untrained[name] for name in part.models},
            tokens={name: _tokens_name(readers[name]) for name in part.models},
            layers={name: spaced(readers[name].layers, settings.layers) for name in part.models},
        )
        made = [fact_numbers(rows, who, right) for rows in part.selection.facts]
        facts, reads = part.selection.facts, [read for _, read in made]
        done[part.name] = {
            "passages": len(part.passages),
            "programs": len({passage.unit for passage in part.passages}),
            "left_out": part.left_out,
            "not_probed": part.selection.left_out,
            "summary": summary((facts, reads)),
            "facts": {rows.fact.key: numbers for rows, (numbers, _) in zip(facts, made, strict=True)},
        }
        if part.name.startswith(f"{OWN}/"):
            own[part.models[0]] = (facts, reads)
    models = {
        name: {"model": reader.model, "layers": reader.layers, "untrained": untrained[name]}
        for name, reader in readers.items()
    }
    return {"models": models, "settings": asdict(settings), "parts": done, "own_differences": own_differences(own)}
