"""Evaluation of search quality: datasets, measures, runs."""
