"""Stand-ins for services, for testing code that talks to them."""
