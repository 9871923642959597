"""The features of five other image search systems, each with a test that runs it here."""
