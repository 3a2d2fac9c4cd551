"""Does anything know what it cannot have known yet? Strategies, fitted files, and the backtest."""
