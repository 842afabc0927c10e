"""Evaluation: benchmarks, generation, verdicts by the judge of the reward, numbers with intervals, paired comparison.

* `evaluate.py`: `evaluate`, the whole of it from names to numbers; the command calls it too
* `benchmarks/`: one file each: where its data is, how it asks, how an answer is taken from a completion
* `data.py`: their data, on this machine or from the hub
* `backends/`, `generate.py`: completions, by transformers, vLLM or an endpoint
* `sample_files.py`: completions from files, in the forms of `problems.sample_forms`
* `run.py`: questions → samples → verdicts → numbers, in a folder that can be resumed (`records.py`,
  `traces.py`)
* `results.py`, `intervals.py`, `metrics.py`, `compare.py`: the numbers; `notes.py`: what they stand for
"""
