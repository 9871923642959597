"""CLIP: images and texts in a shared vector space."""
