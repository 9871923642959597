"""Benchmarks print ratios of one run (`make bench`); tests are never timed."""
