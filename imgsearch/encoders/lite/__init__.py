"""The default encoder: ImageNet weights from a package, and English texts in the same space."""
