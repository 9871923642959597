"""Dimensionality reduction of vectors, and its file format."""
