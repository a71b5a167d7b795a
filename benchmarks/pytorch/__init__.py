"""`opu bench pytorch`: the digital trainer beside PyTorch. Modules:

- `case`: what is timed
- `side`: a process that trains on request; PyTorch's with `models`
- `measure`: turns of two such processes, and the ratio
"""  # noqa: D400
