"""`python -m benchmarks` is `opu`."""

from benchmarks.cli import run

run()
