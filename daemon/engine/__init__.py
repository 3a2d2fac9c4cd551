"""Every decision of the daemon, as one synchronous function from event to commands."""

from daemon.engine.engine import Engine, EngineParts
from daemon.engine.rules import EngineRules, StrategyEntry

__all__ = ["Engine", "EngineParts", "EngineRules", "StrategyEntry"]
