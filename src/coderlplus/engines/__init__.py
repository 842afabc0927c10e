"""Training engines: thin adapters between the `AlignmentLoop` and a trainer (TRL), and the configuration and folder of a run.

`config` reads the YAML of a run, `run_folder` keeps what a run writes, `train` puts a run together; `trl` holds the trainer and its five hooks. torch
and trl are imported only by `trl`, `callbacks` and inside `train`.
"""
