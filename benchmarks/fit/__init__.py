"""`opu device fit`: the cheapest card that reaches an accuracy. Modules, in the order a search meets them:

- `task`: what is asked, checked before anything runs
- `space`: which keys are searched, and between which bounds
- `search`: proposals, the constraint, and a winner that fresh seeds confirm
- `runs`: a configuration becomes training runs, on the workers of `opu sweep`
- `run`: all of it together, in a directory that can be gone on with
- `document`, `tables`, `figure`: what a search is made into
"""  # noqa: D400
