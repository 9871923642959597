"""Encoders: images → unit vectors."""
