"""Weights: files, packages, the Hugging Face Hub and the cache."""
