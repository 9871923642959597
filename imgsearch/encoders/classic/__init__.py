"""The classic encoder: color, gradients and layout, without weights."""
