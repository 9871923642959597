"""Real servers for tests, started once a session and stopped with it."""
