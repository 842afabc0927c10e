"""The quick start: plain GRPO against CodeRL+ on two CPU cores, as a study of the small world.

* `quickstart.yaml`, `tiny.yaml`: the study; `run.py`: run by the study's runner, with a summary and a page
* `headline.py`: summary → the table of the page and the sentences above it; `tables.py`: summary → printed tables
"""
