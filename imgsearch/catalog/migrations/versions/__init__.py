"""Migrations, one file for each; a published migration never changes."""
