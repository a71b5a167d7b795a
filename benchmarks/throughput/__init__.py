"""`opu bench throughput`: host and device time a projection over shapes. Modules:

- `cases`: the rows
- `baselines`: the floor of a row, and what one would use instead
- `row`: one row, measured in a process of its own
- `start_up`: from a new process to the first result
- `measure`: all of it together
- `tables`, `figure`: what the document is made into
"""  # noqa: D400
