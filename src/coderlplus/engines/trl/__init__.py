"""CodeRL+ on stock TRL.

`config` and `arguments` make TRL's configuration of a run's, `train` puts a run together and runs it. `trainer` holds
the trainers and their six hooks (two of them in `saving`), `advantages` and `tensors` what they compute, `callbacks`
what happens between steps, `evaluation` the benchmarks meanwhile, `processes` what several processes agree on. torch
and trl are imported only by `trainer`, `saving`, `tensors`, `callbacks` and inside functions.
"""
