"""The embedded paper exchange: the other side of the wire."""
