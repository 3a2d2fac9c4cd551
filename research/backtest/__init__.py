"""The engine over history: same decisions, same gate, same ledger; a venue made of bars."""
