"""Fewer numbers per vector: PCA and its file."""
