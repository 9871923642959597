"""One file for each migration. A published migration is never changed."""
