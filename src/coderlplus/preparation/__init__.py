"""Preparation: public sets of problems → problems to train on, with a report of what was cut and why.

    source files → rows → problems → not in a benchmark → tests capped → validated → no duplicates → problems.jsonl,
    problems.parquet, report

* `sources.py`: which files a source is
* `contamination.py`: problems that stand in the evaluation sets, by common runs of words
* `capping.py`: which tests are kept
* `mutants.py`, `validation.py`: the reference passes, a program that does nothing and changed references do not
* `run.py`: all of it, a few hundred rows in memory at a time, in a way that can be interrupted
* `outputs.py`: the files
"""
