"""The folder of a run: configuration, environment, metrics, samples, checkpoints, final model.

A line is written when its step ends, so a run that is killed has every finished step. `begin` cuts both JSONL files
back to the step of the checkpoint, so that a resumed run leaves the same files as one that was never interrupted.
Every time is under a key `seconds/…`.
"""

from __future__ import annotations

import contextlib
import json
import math
import platform
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from coderlplus import __version__
from coderlplus.engines.checkpoints import OF_THE_TRAINER, checkpoint_step, damage, is_finished, newest_whole
from coderlplus.engines.config import CommonConfig
from coderlplus.engines.model_card import model_card
from coderlplus.engines.resuming import changed
from coderlplus.errors import ConfigError, DataError
from coderlplus.records.files import atomic_write, held, remove, spare
from coderlplus.records.outputs import digest
from coderlplus.terminal import note

OF_A_RUN = (
    *("config.yaml", "environment.json", "run.json", "metrics.jsonl", "samples.jsonl", "checkpoints", "final"),
    *("final.partial", "evals", "tensorboard", "index.html"),
)
"""What a run leaves in its folder."""
LIBRARIES = ("torch", "trl", "transformers", "accelerate", "datasets", "peft", "vllm", "numpy")


class RunFolder:
    """Paths and files of the run at `path`; nothing is written before `begin`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.final = path / "final"
        self.unfinished = path / "final.partial"
        self._metrics = path / "metrics.jsonl"
        self._samples = path / "samples.jsonl"
        self._standing_file = path / "run.json"

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Make the folder and be the only one that writes it. Raises `DataError` that says who does, `ConfigError`
        where it cannot be made. A folder that was made here and stays empty is removed."""
        is_new = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.path, error) from error
        try:
            with held(self.path, "output=…"):
                yield
        finally:
            if is_new:
                with contextlib.suppress(OSError):  # there is something in it
                    self.path.rmdir()

    def clear(self) -> None:
        """Remove everything that a run leaves, and nothing else. Raises `ConfigError` where that cannot be done."""
        remove(self.path, OF_A_RUN)

    def changes(self, config: str, fingerprint: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
        """The settings that differ from those that the run here was begun with, as `key: before → now`; none where
        there is no run.

        Raises `ConfigError` for a setting that cannot change (`engines.resuming`), whose `defaults` are given by
        dotted keys, and where a part of what the run is `fingerprint` (digests by name) is another now.
        """
        saved = self.path / "config.yaml"
        if not (self._metrics.exists() or self.final.exists()) or not saved.exists():
            return []
        found = changed(saved.read_text(encoding="utf-8"), config, defaults, str(self.path))
        before = self._standing().get("fingerprint", {})
        for name in sorted(before.keys() & fingerprint.keys()):
            if before[name] != fingerprint[name]:
                raise ConfigError(
                    f"{self.path} was begun with other contents of {name} (digest {before[name]}, now "
                    f"{fingerprint[name]}); restore it, choose another output, or add --overwrite to begin it anew"
                )
        return found

    def begin(
        self,
        config: str,
        isolation: Sequence[str],
        checkpoint: Path | None = None,
        fingerprint: Mapping[str, Any] | None = None,
    ) -> None:
        """Write what describes the run, and cut its files back to the checkpoint that it resumes from, or to nothing.

        Raises `ConfigError` when it cannot be written.
        """
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            self._cut(0 if checkpoint is None else checkpoint_step(checkpoint))
            atomic_write(self.path / "config.yaml", config)
            atomic_write(self.path / "environment.json", json.dumps(environment(isolation), indent=2) + "\n")
            atomic_write(self._standing_file, json.dumps({"fingerprint": fingerprint or {}, "finished": False}) + "\n")
        except OSError as error:
            raise unwritable(self.path, error) from error

    def say_complete(self) -> None:
        note(f"{self.path} is complete; use --overwrite to train again")

    def say_continued(self, checkpoint: Path | None, changes: Iterable[str]) -> None:
        """Say on stderr where a run that is here continues, and which settings changed."""
        if checkpoint is not None:
            note(f"continuing {self.path} from step {checkpoint_step(checkpoint)}")
        elif self.last_step():
            note(f"{self.path} has no checkpoint yet: beginning at the first step again")
        for change in changes:
            note(f"continuing with another setting: {change}")

    @property
    def is_finished(self) -> bool:
        """Whether the run came to the end that its configuration asks for."""
        return bool(self._standing().get("finished"))

    def mark_finished(self) -> None:
        """Note that the run came to its end."""
        atomic_write(self._standing_file, json.dumps(self._standing() | {"finished": True}) + "\n")

    def is_done(self, asked: Mapping[str, Any]) -> bool:
        """Whether the run is finished and was `asked` for with these settings, of files that are as they were; known
        without loading anything heavy."""
        standing = self._standing()
        made_of = standing.get("fingerprint", {})
        return (
            bool(standing.get("finished"))
            and standing.get("asked") == _plain(asked)
            and all(digest(Path(name).expanduser()) == before for name, before in made_of.items())
        )

    def note_asked(self, asked: Mapping[str, Any]) -> None:
        """Note with which settings the finished run was asked for."""
        atomic_write(self._standing_file, json.dumps(self._standing() | {"asked": _plain(asked)}) + "\n")

    def _standing(self) -> dict[str, Any]:
        try:
            data = json.loads(self._standing_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read {self._standing_file} ({error}); remove it") from error
        return data if isinstance(data, dict) else {}

    def latest_checkpoint(self) -> Path | None:
        """The newest checkpoint that can be resumed from; `None` where none was ever finished. Says on stderr which
        ones are damaged, and raises `DataError` when all are."""
        finished = filter(
            is_finished, sorted(self.checkpoints.glob("checkpoint-*"), key=checkpoint_step, reverse=True)
        )
        return newest_whole(finished, damage, self.checkpoints)

    def finish_from(self, checkpoint: Path) -> None:
        """Make the model of a checkpoint the final one, where a run was killed between the two. Raises `DataError` for
        one in shards."""
        if self.final.exists():
            return
        shards = next(iter(checkpoint.glob("pytorch_model_fsdp_*/")), None)
        if shards is not None:
            raise DataError(
                f"the run is finished; its model is sharded in {shards}; merge it with: accelerate "
                f"merge-weights {shards} {self.final}"
            )
        shutil.copytree(
            checkpoint, self.unfinished, ignore=shutil.ignore_patterns(*OF_THE_TRAINER), dirs_exist_ok=True
        )
        self.finish()

    def finish(self) -> None:
        """What is in `unfinished` becomes the final model, with a card in it and beside it."""
        if self.final.exists():
            shutil.rmtree(self.final)
        self.unfinished.replace(self.final)
        try:
            card = model_card(self.path, self._last_metrics())
            for folder in (self.final, self.path):
                atomic_write(folder / "README.md", card)
        except (OSError, ValueError, KeyError, TypeError) as error:  # somebody changed the files of the run
            print(f"{self.final} has no model card: {type(error).__name__}: {error}", file=sys.stderr)
        self.mark_finished()

    def write_metrics(self, step: int, values: Mapping[str, Any]) -> None:
        """Append the metrics of a step; values that are absent or not finite are left out."""
        numbers = {
            name: value for name, value in values.items() if isinstance(value, int | float) and math.isfinite(value)
        }
        self._append(self._metrics, [{"step": step} | numbers])

    def last_step(self) -> int:
        """The step of the last complete line of metrics.jsonl; 0 without one."""
        return int(self._last_metrics().get("step", 0))

    def _last_metrics(self) -> dict[str, Any]:
        """The last complete line of metrics.jsonl; empty without one."""
        lines = self._metrics.read_text(encoding="utf-8").splitlines(keepends=True) if self._metrics.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        return dict(json.loads(whole[-1])) if whole else {}

    def write_samples(self, groups: Iterable[Mapping[str, Any]]) -> None:
        """Append inspected groups, each with its `step`."""
        self._append(self._samples, groups)

    def _append(self, path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
        try:
            with path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)
        except OSError as error:
            raise DataError(
                f"cannot write {path}: {error.strerror}; free space, then the same command continues"
            ) from error

    def _cut(self, step: int) -> None:
        """Drop what was written after `step`; without a checkpoint (step 0) that is everything."""
        for path in (self._metrics, self._samples):
            if not path.exists():
                continue
            kept = []
            for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
                with contextlib.suppress(json.JSONDecodeError):  # the last line of a killed run
                    if step > 0 and line.endswith("\n") and json.loads(line)["step"] <= step:
                        kept.append(line)
            atomic_write(path, "".join(kept))


def _plain(settings: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(settings, default=str))


def unwritable(folder: Path, error: OSError) -> ConfigError:
    """The error of a run folder that cannot be written."""
    return ConfigError(f"cannot write the run folder {folder}: {error.strerror}; choose another output")


def fingerprint(config: CommonConfig, *files: Path) -> dict[str, str | None]:
    """What a run is made of: the digests of its problems, its fixed tasks, its model where that is a folder, and other
    `files`."""
    return {name: digest(path) for name, path in _inputs(config, *files).items()}


def spare_inputs(config: CommonConfig, *files: Path) -> None:
    """Raises `ConfigError` where the run would replace something that it is made of, such as the model that an earlier
    run left in its folder."""
    spare(_inputs(config, *files).values(), [config.output / name for name in OF_A_RUN], "output=…")


def _inputs(config: CommonConfig, *files: Path) -> dict[str, Path]:
    paths = {str(path): path for path in (*config.problems, *files)}
    if config.alignment is not None and config.alignment.task_file is not None:
        paths[config.alignment.task_file] = Path(config.alignment.task_file)
    model = Path(config.model).expanduser()
    if model.is_dir():
        paths[config.model] = model
    return paths


def environment(isolation: Sequence[str]) -> dict[str, Any]:
    """What a reader of the run needs to know of where it ran."""
    versions = {}
    for name in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "coderlplus": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": versions,
        "isolation": list(isolation),
        "command": sys.argv,
    }
