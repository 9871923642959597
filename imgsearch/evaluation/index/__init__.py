"""Index tuning: exact neighbors, candidates, trials."""
