"""A study: arms × seeds over the ordinary training and evaluation, resumable, with means, paired differences and a
page.

* `settings.py`: the settings, as `Study`; `loading.py`: the YAML file → `Study`, checked
* `plan.py`: study → jobs (problems, initial models and their samples, the search for settings, runs) and what each
  needs; `folder.py`: where they leave what, whether they are done; `fingerprints.py`: what they are made of;
  `tries.py`: the settings that a search tries
* `run.py`: runs what is not done, each job in a process of its own; `job.py` is that process
    * `data.py`: problems of three splits, and held-out questions about executions
    * `initial_models.py`: the models that arms train from; `examples.py`: what those of the small world are taught
    * `sampling.py`: what an initial model writes for the training problems, kept as passing programs and as tasks from
      failures
    * `runs.py`: training and measuring of an arm with a seed; `supervised.py`: supervised training
    * `measures.py`: what a model can do, problem by problem; `claims.py`: whether the comments in its programs are
      true
    * `selecting.py`: programs to choose from, and what models predict that they do
* `raw.py`: measured runs with curves, families and probes → the raw numbers, as files too
* `selection.py`: what choosing is worth; `decisions.py`, `rules.py`, `rule_e1.py`, `rule_e4.py`: the rules of
  docs/preregistration
* `results.py`: raw numbers → means and differences; `differences.py`: their intervals; `curves.py`: training curves,
  and equal seconds
* `tables.py`, `cells.py`, `picture.py`, `selection_page.py`: the same as Markdown and as pictures, and into the
  documentation
"""
