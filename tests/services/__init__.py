"""Real servers for tests, each started once a session and gone with it."""
