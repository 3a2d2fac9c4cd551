"""An order's life as a transition table, its identity, and the prices it is sent with. Pure."""
