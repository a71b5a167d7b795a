"""`opu sweep`: parameter sweeps of experiments and devices on Dask. Modules, in the order a sweep meets them:

- `definition`: the TOML format, and the points that it stands for
- `store`: the sweep directory: one SQLite file, a lock, results.csv
- `worker`, `cluster`: how a point is run, and where
- `run`: all of it together
- `quantities`, `pareto`, `figures`: what results are made into
"""  # noqa: D400
