"""Live beside backtest on the same bars: where the difference in profit comes from, to the cent."""
