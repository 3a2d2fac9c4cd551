"""What a backtest is worth: deflated figures, honest splits, every trial counted, verdicts."""
