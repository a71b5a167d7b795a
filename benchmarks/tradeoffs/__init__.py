"""`opu bench tradeoffs`: four keys of a device, each swept. Modules:

- `definition`: the sweeps, and what the physics says of each
- `quality`: effective bits of a device, measured
- `measure`: the points, trained
- `tables`, `figure`: what the document is made into
"""  # noqa: D400
