"""Common to all tests."""

import os

# As the command line sets it: idle OpenMP threads that spin slow BLAS down several times on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
