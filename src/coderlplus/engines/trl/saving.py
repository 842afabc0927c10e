"""What CodeRL+ adds to TRL's checkpoints, so that a run resumes exactly: two hooks of the trainers' mixin (see `trl`).

A checkpoint is written into a folder of its own and older ones are deleted only when the files of all processes are
there; whatever ends the run in between, the checkpoint before can be resumed from.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from coderlplus.engines import checkpoints
from coderlplus.engines.steps import Steps
from coderlplus.engines.trl.processes import is_of_the_group
from coderlplus.errors import DataError

_Trainer: Any = object  # what a type checker is to think of the next base


class CheckpointMixin(_Trainer):  # type: ignore[misc]
    """The state of `steps`, and a generation batch that is half used, in the checkpoints of a TRL trainer."""

    steps: Steps
    _batches: int

    def finish_mining(self) -> None:
        raise NotImplementedError

    # Hook 5
    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self.finish_mining()
        folder = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}"
        keep = self.args.save_total_limit
        self.args.save_total_limit = None  # older ones go when the files of all ranks are there
        try:
            if self.args.should_save:
                shutil.rmtree(folder, ignore_errors=True)
            self.accelerator.wait_for_everyone()
            folder.mkdir(parents=True, exist_ok=True)
            half_used = self._step % (self.args.steps_per_generation * self.num_iterations) != 0
            if half_used:
                torch.save(self._buffered_inputs, folder / f"generation_{self.accelerator.process_index}.pt")
            if self.args.should_save:
                checkpoints.write_state(folder, self._own_state() | {"half_used": half_used})
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                checkpoints.write_checksums(folder)
                if keep and keep > 0:
                    checkpoints.delete_older(folder, keep)
        except (OSError, RuntimeError, SafetensorError) as error:
            if is_of_the_group(error):
                raise
            if self.args.should_save:
                shutil.rmtree(folder, ignore_errors=True)
            raise DataError(
                f"cannot save {folder}: {' '.join(str(error).split())}; free space, then the same command "
                f"continues from the previous checkpoint"
            ) from error
        finally:
            self.args.save_total_limit = keep

    # Hook 6
    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        state = checkpoints.read_state(Path(checkpoint))
        try:
            processes, now = state["processes"], self.accelerator.num_processes
            if processes != now:
                raise DataError(
                    f"{checkpoint} was saved with {processes} processes, this run has {now}; resume with {processes} "
                    f"processes"
                )
            self._step, self._batches, half_used = state["micro_step"], state["batches"], state["half_used"]
            self.steps.load_state(state)
        except KeyError as error:
            raise DataError(
                f"{checkpoint} was saved by another version of coderlplus: {error} is missing; start a run in a new "
                f"folder"
            ) from error
        if half_used:
            generation = Path(checkpoint) / f"generation_{self.accelerator.process_index}.pt"
            self._buffered_inputs = torch.load(generation, map_location=self.accelerator.device, weights_only=True)

    def _own_state(self) -> dict[str, Any]:
        own = {"processes": self.accelerator.num_processes, "micro_step": self._step, "batches": self._batches}
        return own | self.steps.state()
