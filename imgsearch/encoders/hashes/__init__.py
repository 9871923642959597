"""Perceptual hashes: bit vectors that are nearly equal for an image and its changed copies."""
