"""A kind of task, a benchmark and a back end, each in one file."""
