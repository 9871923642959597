"""Benchmarks: ratios of one run, printed by `make bench`; never timed tests."""
