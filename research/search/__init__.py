"""Looking for parameters: spaces, and ways to walk through them; every step is a trial."""
