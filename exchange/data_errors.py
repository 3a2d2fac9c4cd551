"""What the market-data stream refuses with: its codes, their words, and which end the session."""

DATA_ERRORS = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
    411: "insufficient scope",
    500: "internal error",
}
CLOSING = frozenset({402, 404, 406, 407})
"""Codes after which the connection is closed."""
