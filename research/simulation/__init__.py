"""The whole daemon and the exchange in one process, in virtual time, under seeded faults."""
