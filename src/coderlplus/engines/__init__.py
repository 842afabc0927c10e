"""Training engines: thin adapters between the `AlignmentLoop` and a trainer, side by side in `trl` and `verl`.

Neither imports the other. What they share is here, without trainer and tensors: `config` and `settings_files` read the
YAML of a run, `run_folder` and `checkpoints` keep what it writes, `steps` is one step of CodeRL+, with `batches` and
`generation` for what is in it and `background` for work that goes on meanwhile. `prompts` words a problem, `models`
loads what a run starts from. `reward_functions` is for your own TRL scripts.
"""
