"""The virtual-time loop, for tests: it lives in the simulation's kernel."""

from research.simulation.kernel.loop import (
    EPOCH_S,
    Deadlock,
    Network,
    VirtualLoop,
    Wire,
    current_loop,
    in_virtual_time,
    run_virtually,
)

__all__ = [
    "EPOCH_S",
    "Deadlock",
    "Network",
    "VirtualLoop",
    "Wire",
    "current_loop",
    "in_virtual_time",
    "run_virtually",
]
