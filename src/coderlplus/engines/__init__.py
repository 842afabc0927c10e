"""Training engines: thin adapters between the `AlignmentLoop` and a trainer (TRL), and the configuration and folder of a run.

`config` reads the YAML of a run, `arguments` makes TRL's of it, `run_folder` and `checkpoints` keep what a run writes, `train` puts a run together;
`trl` holds the trainers and their six hooks (two of them in `saving`), `generation` and `batches` what they decide, without tensors. torch and trl
are imported only by `trl`, `saving`, `tensors`, `callbacks` and inside functions. `reward_functions` is for TRL scripts that use no trainer of ours.
"""
