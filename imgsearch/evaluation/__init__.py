"""How good the answers are: datasets, measures, runs."""
