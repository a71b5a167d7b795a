"""`opu bench pytorch`: the digital trainer beside PyTorch. Modules:

- `measure`: turns of two processes, and the ratio
- `side`: one of the processes; PyTorch's imports `models`
"""  # noqa: D400
