"""Probes: what a model's hidden states tell, by a linear classifier, of the execution of the program that it reads or
writes.

* `sources.py`: problems and tasks on disk → cases (a prompt, a program, an input); `writing.py`: the programs that a
  model writes itself
* `facts.py`, `marks.py`: trace of a case → passages: texts with marked characters and the facts of the run that belong
  there
* `rows.py`: facts → balanced rows and folds by program
* `models.py`, `activations.py`: passages → hidden states at the marks, on disk, in bounded memory, resumable
* `linear.py`, `tokens.py`: the probe, and what the same probe makes of the tokens alone
* `scores.py`, `results.py`: shares of right answers by program → scores, selectivity and differences with intervals
* `run.py`: all of it, in a folder that can be resumed
"""
