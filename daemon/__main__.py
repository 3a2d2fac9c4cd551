"""`python -m daemon` is the `tradewind` command."""

from daemon.cli import main

main()
