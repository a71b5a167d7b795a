"""The `opu` command and its benchmarks: speed, energy, published results."""
