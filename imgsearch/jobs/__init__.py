"""Embedding beyond one machine: a job's plan, its shards, and the engines that map over them."""
