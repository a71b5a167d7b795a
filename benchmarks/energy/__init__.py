"""`opu bench energy`: seconds, joules and TeraOPS on optical devices, beside electronic cards. Modules:

- `workload`: sizes, or a run, and what is compared on it
- `electronic`: accelerators, each figure with its source, and a roofline
- `sizes`, `crossover`: against the size of the matrix, and where curves meet
- `assumptions`, `training_time`, `training`: against the parameters of a Transformer, and where training crosses
- `measure`: all of it together
- `tables`, `figure`: what the document is made into
"""  # noqa: D400
