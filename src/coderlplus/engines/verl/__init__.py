"""CodeRL+ as a plug-in for stock verl 0.9.1: no fork, no patch, verl's own algorithms and workers.

`hooks` holds the three classes that verl loads by name (data set, reward manager, replay buffer); it alone imports
verl. `fetching` is what they decide, `rows` what they hand to each other; neither needs verl. `config` and `train`
make a run of a YAML file.
"""
