"""What Prometheus sees of the circuit breakers and of what they are judged by."""

from collections.abc import Sequence

from daemon.metric_series import SeriesMaker
from domain.events import VitalsMeasured
from risk.breakers import BREAKERS, Level

MEGABYTE = 1024 * 1024


class VitalSeries:
    """The series of the breakers, the disk, the clock and the tape."""

    def __init__(self, make: SeriesMaker) -> None:
        names = tuple(breaker.cause for breaker in BREAKERS)
        self._tripped = make.levels(
            "breaker_tripped", "1 while a circuit breaker holds trading back.", "breaker", names
        )
        self._headroom = make.levels(
            "breaker_headroom_ratio", "What is left to its limit, of the limit.", "breaker", names
        )
        self._headroom.replace(dict.fromkeys(names, 1.0))
        self._sync_s = make.gauge(
            "journal_sync_slowest_seconds", "The slowest durable write of the last seconds."
        )
        self._free = make.gauge("disk_free_bytes", "Left where the state is.")
        self._skew_s = make.gauge("clock_skew_seconds", "The venue's clock less ours.")
        self._is_taping = make.gauge("tape_recording", "1 while what is heard is recorded.")

    def measured(self, vitals: VitalsMeasured, *, is_taping: bool) -> None:
        """Note how the machine is."""
        self._sync_s.set(vitals.fsync_s)
        if vitals.disk_free_mb is not None:
            self._free.set(vitals.disk_free_mb * MEGABYTE)
        if vitals.clock_skew_s is not None:
            self._skew_s.set(vitals.clock_skew_s)
        self._is_taping.set(is_taping)

    def judged(self, levels: Sequence[Level]) -> None:
        """Note how every breaker stands; of several gauges the one nearest to its limit counts."""
        headroom = {level.cause.value: 1.0 for level in levels}
        for level in levels:
            if level.headroom_share is not None:
                name = level.cause.value
                headroom[name] = min(headroom[name], level.headroom_share)
        self._headroom.replace(headroom)
        self._tripped.replace({level.cause.value: 1.0 for level in levels if level.is_tripped})
