"""Weights: files, packages, the Hugging Face hub and the cache."""
