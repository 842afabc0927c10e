"""Alignment tasks as data sets for others: Parquet, a data set for the Hugging Face hub, rationales to imitate.

* `rows.py`: a task as a row
* `rationales.py`: traces as worked answers
* `hub.py`: a folder with card and files, as it is pushed to the hub
"""
