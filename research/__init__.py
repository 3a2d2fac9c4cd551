"""Offline work: the past traded by the engine that trades live, and what can be said of it."""
