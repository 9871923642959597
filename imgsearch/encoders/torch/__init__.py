"""PyTorch: imports with clear errors, and the runner of its models."""
