"""What we own and owe, and how it survives: ledger, journal, snapshot, reconciliation, recovery."""
