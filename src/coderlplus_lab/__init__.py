"""The laboratory: the quick start, studies and probes, built on coderlplus, which does not know it.

* `world/`: a small world of programs, and models made and taught on the spot
* `study/`: arms × seeds, trained and measured; `probes/`: what hidden states tell of executions
* `quickstart/`: GRPO against CodeRL+ on two CPU cores
"""
