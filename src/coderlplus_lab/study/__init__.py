"""A study: arms × seeds over the ordinary training and evaluation, resumable, with means, paired differences and a
page.

* `settings.py`: the settings, as `Study`; `loading.py`: the YAML file → `Study`, checked
* `plan.py`: study → jobs (problems, starts, samples of the starts, the search for settings, cells), what each needs
  and leaves, whether it is done
* `run.py`: runs what is not done, each job in a process of its own; `job.py` is that process
    * `data.py`: problems of three splits, and held-out questions about executions
    * `starts.py`: the models that arms start from; `examples.py`: what those of the small world are taught
    * `sampling.py`: what a start writes for the training problems, kept as passing programs and as tasks from failures
    * `cells.py`: training and measuring of an arm with a seed; `supervised.py`: supervised training
    * `measures.py`: what a model can do, problem by problem; `claims.py`: whether the comments in its programs are
      true
* `results.py`: measured cells → means and differences; `differences.py`: their intervals; `curves.py`: training
  curves, and equal seconds
* `tables.py`: the same as Markdown, and into the documentation
"""
