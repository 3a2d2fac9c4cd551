"""What anyone could have had without a strategy: simple and on-line portfolios to compare with."""
