"""The default encoder: ImageNet weights from the package index, English text in the same space."""
