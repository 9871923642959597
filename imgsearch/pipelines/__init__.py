"""The three pipelines."""
