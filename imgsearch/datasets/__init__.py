"""Labeled datasets: published manifests, downloads, loading from folders and lists."""
