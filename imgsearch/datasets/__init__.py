"""Labeled data sets: described, fetched, verified and read."""
