"""Reports of backtests: the figures, and one self-contained page of them."""
