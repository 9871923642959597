"""Perceptual hashes: bits that changed copies of an image share."""
