"""`evaluate`: a model or a file of completions, and names of benchmarks → numbers in a folder."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, get_args

from coderlplus.alignment.settings import PromptStyle
from coderlplus.errors import ConfigError, DataError, counted
from coderlplus.evaluation import run
from coderlplus.evaluation.asking import FILE_ENDINGS, asked_for
from coderlplus.evaluation.backends import Backend, Sampling, has_gpu
from coderlplus.evaluation.data import Window
from coderlplus.evaluation.results import read_results, write_results
from coderlplus.evaluation.run import AskedBenchmark, SampleSource
from coderlplus.evaluation.sample_files import digest_of, read_samples
from coderlplus.evaluation.selectors import check_selectors
from coderlplus.judge import Judge
from coderlplus.problems.prompts import known_template, user_message
from coderlplus.progress import Track, silent
from coderlplus.records.files import held, spare
from coderlplus.records.outputs import digest
from coderlplus.sandbox import AnySandbox
from coderlplus.sandbox.backends import BACKENDS as SANDBOX_BACKENDS
from coderlplus.sandbox.backends import DEFAULT, check_backend, open_sandbox
from coderlplus.terminal import note

BACKENDS = ("vllm", "transformers")


def evaluate(
    model: str | Path | None,
    benchmarks: Sequence[str | Path],
    *,
    output: str | Path,
    data_dir: str | Path | None = None,
    samples: str | Path | None = None,
    backend: str | None = None,
    endpoint: str | None = None,
    n_samples: int = 1,
    temperature: float = 0.0,
    max_tokens: int = 4096,
    seed: int = 0,
    release: str = "release_v4",
    start_date: str | None = None,
    end_date: str | None = None,
    limit: int | None = None,
    select: Sequence[str] = (),
    prompt_style: PromptStyle = "full",
    prompt: str | None = None,
    style: str = "chat",
    concurrency: int = 16,
    workers: int | None = None,
    sandbox_backend: str = DEFAULT,
    sandbox_address: str | None = None,
    overwrite: bool = False,
    track: Track = silent,
    then: Callable[[Path], object] | None = None,
) -> dict[str, Any]:
    """Evaluate a model on benchmarks and return the numbers, as `coderlplus eval` does.

    `model` is a folder, a name on the hub, or the name that the `endpoint` uses; with a file of `samples` it is only a
    label and may be `None`. `benchmarks` are names such as `humaneval` or `cruxeval-o`, or files of problems, whose
    user message `prompt` may set. `style` is `chat`, or `base` for models without chat template. Without `data_dir`,
    the data of the benchmarks comes from the hub. `backend` is `vllm` or `transformers`.
    `release`, `start_date` and `end_date` (ISO days, inclusive) select problems of
    LiveCodeBench. `select` names selectors that keep one of the `n_samples` of each problem (`random`, `logprob`,
    `majority`, `own_predictions`, `execution`), which the numbers then have as `NAME@n`; `own_predictions` asks the
    model in the `prompt_style` of alignment tasks. `workers` is the number of programs judged in parallel, by default
    one per core. `sandbox_backend` and `sandbox_address` say where: see `open_sandbox`.

    The result has `model`, `source`, `benchmarks` (name → numbers, shares in [0, 1]) and `left_out`, the number of
    rows that cannot be used. Every sample and verdict is written to `output` at once; repeat the call to resume an
    interrupted evaluation. With `overwrite` these benchmarks are evaluated anew. `results.json` there holds all
    benchmarks that were evaluated into the folder; `coderlplus report` makes its page. `then` is called with the
    folder before another process may write it.

    Raises `ConfigError` for unknown or conflicting arguments, `DataError` for data that cannot be read and for an
    output that another process is writing, and `SandboxError` if the sandbox fails on more than a tenth of the
    programs.

    >>> import json, tempfile
    >>> from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp())
    >>> row = {"id": "sample_0", "code": "def f(x):\\n    return x + 1", "input": "1", "output": "2"}
    >>> _ = (folder / "cruxeval.jsonl").write_text(json.dumps(row))
    >>> _ = (folder / "answers.jsonl").write_text('{"id": "sample_0", "answer": "2"}')
    >>> places = {"samples": folder / "answers.jsonl", "data_dir": folder, "output": folder / "scores"}
    >>> results = evaluate("mine", ["cruxeval-o"], **places, workers=1)
    >>> results["benchmarks"]["cruxeval-o"]["accuracy"]
    1.0
    """
    if sum(given is not None for given in (backend, endpoint, samples)) > 1:
        raise ConfigError("backend, endpoint and samples exclude each other: give one of them")
    check_backend(sandbox_backend, sandbox_address)
    check_selectors(select, has_model=samples is None, n_samples=n_samples)
    if prompt_style not in get_args(PromptStyle):
        raise ConfigError(f"prompt_style must be one of {', '.join(get_args(PromptStyle))}, not {prompt_style!r}")
    kind = _kind(backend, endpoint)
    if model is None and samples is None:
        raise ConfigError("model is missing; name one, or give samples")
    if n_samples > 1 and temperature == 0:
        raise ConfigError(f"greedy decoding gives one completion, not {n_samples}; set temperature above 0")
    folder = Path(output)
    if prompt is not None and not any(str(name).endswith(FILE_ENDINGS) for name in benchmarks):
        raise ConfigError("a prompt is for files of problems; the benchmarks have prompts of their own")
    known_template(prompt)
    asked = asked_for(
        [str(name) for name in benchmarks],
        Window(release=release, start=start_date, end=end_date),
        None if data_dir is None else Path(data_dir),
        lambda problem: user_message(problem, prompt),
        limit=limit,
        style=style,
    )
    for one in asked:
        if select and one.benchmark.metric != "pass@1":
            raise ConfigError(
                f"{one.benchmark.name} asks for answers, and select chooses among programs; leave it out"
            )
    name = None if model is None else str(model)
    open_backend = cache(lambda: _open(name or "", backend, endpoint, concurrency, style))
    sampling = Sampling(
        temperature=temperature, max_tokens=max_tokens, seed=seed, logprobs="logprob" in select and samples is None
    )
    source = replace(
        _source(name, asked, sampling, n_samples, kind, None if samples is None else Path(samples)),
        selectors=tuple(select),
        prompt_style=prompt_style,
    )
    given = [samples, model, *(one for one in benchmarks if str(one).endswith(FILE_ENDINGS))]
    spare([Path(one) for one in given if one is not None], [folder / one.benchmark.name for one in asked])
    _make(folder)
    with held(folder):
        if overwrite:
            _remove(folder, [one.benchmark.name for one in asked])
        _refuse_another_model(folder, source.model)
        _say_what_is_kept(run.prepare(folder, source, asked), folder)
        open_judge = partial(open_sandbox, sandbox_backend, workers=workers, address=sandbox_address)
        numbers = _evaluate_all(folder, source, asked, open_backend, open_judge, track)
        if then is not None:
            then(folder)
    left_out = sum(len(one.left_out) for one in asked) + len(source.strangers)
    return {"model": source.model, "source": source.kind, "benchmarks": numbers, "left_out": left_out}


def _kind(backend: str | None, endpoint: str | None) -> str:
    if endpoint is not None:
        return "endpoint"
    if backend is None:
        return "vllm" if importlib.util.find_spec("vllm") and has_gpu() else "transformers"
    if backend in SANDBOX_BACKENDS:
        raise ConfigError(
            f"{backend} is a back end of the sandbox, which judges: write --sandbox-backend {backend}; the back ends "
            f"that generate are {' and '.join(BACKENDS)}"
        )
    if backend not in BACKENDS:
        raise ConfigError(f"unknown back end {backend!r}; use {' or '.join(BACKENDS)}, or an endpoint")
    return backend


def _open(model: str, backend: str | None, endpoint: str | None, concurrency: int, style: str) -> Backend:
    kind = _kind(backend, endpoint)
    if endpoint is not None:
        from coderlplus.evaluation.backends.endpoint import Endpoint

        return Endpoint(url=endpoint, model=model, concurrency=concurrency)
    if kind == "vllm":
        from coderlplus.evaluation.backends.vllm_engine import VllmModel

        return VllmModel(model, style)
    from coderlplus.evaluation.backends.local import LocalModel

    return LocalModel(model, style)


def _source(
    model: str | None, asked: list[AskedBenchmark], sampling: Sampling, n_samples: int, kind: str, samples: Path | None
) -> SampleSource:
    if samples is None:
        weights = Path(model or "").expanduser()
        return SampleSource(
            model=model or "",
            kind=kind,
            sampling=sampling,
            n_samples=n_samples,
            weights=digest(weights) if kind != "endpoint" and weights.is_dir() else None,
        )
    questions, whole = ({one.benchmark.name: getattr(one, part) for one in asked} for part in ("questions", "whole"))
    bad: list[DataError] = []
    found = read_samples(samples, questions, whole=whole, left_out=bad)
    return SampleSource(
        model=model or samples.name.partition(".")[0],
        kind="samples",
        sampling=sampling,
        samples=found,
        digest=digest_of(samples),
        strangers=[*map(str, bad)],
    )


def _make(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write {output}: {error.strerror}; use another output folder") from error


def _remove(output: Path, names: Sequence[str]) -> None:
    """Remove what there is of these benchmarks."""
    try:
        results = _results(output)
        others = {name: numbers for name, numbers in results["benchmarks"].items() if name not in names}
        if others:
            write_results(output, results | {"benchmarks": others})
        else:
            (output / "results.json").unlink(missing_ok=True)
        for name in names:
            if (output / name / "settings.json").exists():
                shutil.rmtree(output / name)
    except OSError as error:
        raise DataError(f"cannot remove {error.filename}: {error.strerror}; name another output folder") from error


def _say_what_is_kept(kept: Mapping[str, int], output: Path) -> None:
    for name, count in kept.items():
        if count:
            exist = "exists" if count == 1 else "exist"
            note(f"continuing {output / name}: {counted(count, 'completion')} {exist}")


def _refuse_another_model(output: Path, model: str) -> None:
    results = _results(output)
    if results["benchmarks"] and results.get("model") != model:
        raise ConfigError(
            f"{output} holds results of {results.get('model')!r}, not of {model!r}; use another output folder, or "
            "add --overwrite and name all its benchmarks"
        )


def _results(output: Path) -> dict[str, Any]:
    """What was evaluated into a folder so far."""
    return read_results(output) if (output / "results.json").exists() else {"benchmarks": {}}


def _evaluate_all(
    output: Path,
    source: SampleSource,
    asked: list[AskedBenchmark],
    open_backend: Callable[[], Backend],
    open_judge: Callable[[], AnySandbox],
    track: Track,
) -> dict[str, Any]:
    """Evaluate one benchmark after the other. The results so far are written after each, so they survive if a later
    one fails."""
    done: dict[str, Any] = {}
    with open_judge() as sandbox:
        judge = Judge(sandbox)
        for one in asked:
            done[one.benchmark.name] = run.evaluate(output, source, one, open_backend, judge, track)
            whole = _results(output)["benchmarks"] | done
            write_results(output, {"model": source.model, "source": source.kind, "benchmarks": whole})
    return done
