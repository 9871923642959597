"""Labeled datasets: published manifests, downloads, and loading from folders and lists."""
