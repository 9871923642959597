"""`mini`, the project's own small encoder: its training; the encoder itself is to come."""
