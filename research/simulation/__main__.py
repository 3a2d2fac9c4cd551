"""`python -m research.simulation`: the command alone, without the rest of `tradewind`."""

import typer

from research.simulation.command import simulate_command

typer.run(simulate_command)
