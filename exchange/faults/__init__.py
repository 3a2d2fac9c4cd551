"""Faults on demand: what a script may ask for, when it applies, and the gateway that does it."""
