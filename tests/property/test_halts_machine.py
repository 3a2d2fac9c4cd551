"""Whatever is observed in whatever order: what latched stays until what lifts it is said."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain.calendar import Session
from domain.events import Action, OperatorAsked, SessionOpened, StateDistrusted
from domain.snapshot import TradingState, TradingStatus
from risk.breakers import BREAKERS, BreakerLimits, Readings, trips
from risk.halts import (
    LATCHES,
    BreakersTripped,
    Cause,
    LossesSeen,
    Observation,
    causes_of,
    next_status,
    resume_refusal,
)
from risk.limits import RiskLimits
from risk.losses import LossBases
from state.wire import codec

BEGAN = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
LIMITS, BREAKER_LIMITS = RiskLimits(), BreakerLimits()
MEASURED = sorted({b.cause for b in BREAKERS} - {Cause.DAILY_LOSS, Cause.DRAWDOWN})
RANK = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}
subjects = st.lists(st.sampled_from([*Cause, "quarantine", "all", ""]), max_size=4).map(",".join)
readings = st.builds(
    Readings,
    orders_sent=st.integers(0, 400),
    rejects=st.integers(0, 60),
    quote_age_s=st.none() | st.floats(0, 400),
    mismatches=st.integers(0, 20),
    repeats=st.integers(0, 60),
    clock_skew_s=st.none() | st.floats(-9, 9),
    loop_lag_s=st.none() | st.floats(0, 20),
    disk_free_mb=st.none() | st.floats(0, 900),
    fsync_s=st.none() | st.floats(0, 20),
)


class Halts(RuleBasedStateMachine):
    """The trading status beside a plain set of the causes that must hold."""

    @initialize()
    def begin(self) -> None:
        self.now = BEGAN
        self.status = TradingStatus(state=TradingState.ACTIVE, since_at=BEGAN)
        self.held: set[Cause] = set()

    def observe(self, observation: Observation) -> None:
        self.now += timedelta(seconds=1)
        after = next_status(self.status, observation, LIMITS, self.now)
        if after is not None:
            assert after.epoch == self.status.epoch + 1
            assert set(causes_of(after)) != set(causes_of(self.status))
            self.status = after

    @rule(seen=readings)
    def measure(self, seen: Readings) -> None:
        found = trips(seen, BREAKER_LIMITS)
        self.observe(BreakersTripped(evidence=found))
        self.held |= found.keys()

    @rule(cause=st.sampled_from(MEASURED))
    def trip(self, cause: Cause) -> None:
        self.observe(BreakersTripped(evidence={cause: "seen"}))
        self.held.add(cause)

    @rule(lost=st.decimals(0, "0.3", places=3), fallen=st.decimals(0, "0.3", places=3))
    def lose(self, lost: Decimal, fallen: Decimal) -> None:
        equity = Decimal(100_000)
        bases = LossBases(day_start_usd=equity / (1 - lost), peak_usd=equity / (1 - fallen))
        self.observe(LossesSeen(equity_usd=equity, bases=bases))
        # A tenth below the limit and above it; the cent at it is tried elsewhere.
        if lost > Decimal("0.021"):
            self.held.add(Cause.DAILY_LOSS)
        if fallen > Decimal("0.151"):
            self.held.add(Cause.DRAWDOWN)

    @rule()
    def distrust(self) -> None:
        self.observe(StateDistrusted(at=self.now, cause="fsync failed", evidence="EIO"))
        self.held.add(Cause.DISTRUST)

    @rule(action=st.sampled_from([Action.HALT, Action.REDUCE, Action.FLATTEN]))
    def ask(self, action: Action) -> None:
        self.observe(OperatorAsked(at=self.now, action=action))
        by = {
            Action.HALT: Cause.OPERATOR_HALT,
            Action.REDUCE: Cause.OPERATOR_REDUCE,
            Action.FLATTEN: Cause.FLATTEN,
        }
        self.held.add(by[action])

    @rule(subject=subjects)
    def resume(self, subject: str) -> None:
        refusal = resume_refusal(self.status, subject)
        self.observe(OperatorAsked(at=self.now, action=Action.RESUME, subject=subject))
        named = set(subject.split(","))
        self.held = {c for c in self.held if LATCHES[c].must_be_named and c.value not in named}
        assert bool(refusal) is bool(self.held)
        assert all(cause in refusal for cause in self.held)

    @rule()
    def open_next_session(self) -> None:
        self.now += timedelta(days=1)
        opens_at = self.now
        session = Session(
            day=date(2026, 3, 3), opens_at=opens_at, closes_at=opens_at + timedelta(hours=6)
        )
        self.observe(SessionOpened(at=opens_at, session=session))
        self.held.discard(Cause.DAILY_LOSS)

    @rule()
    def kill(self) -> None:
        """What a later process reads is what this one wrote."""
        form = codec(TradingStatus)
        self.status = form.decode(form.encode(self.status))

    @invariant()
    def holds_what_must_hold(self) -> None:
        if not hasattr(self, "held"):
            return
        losses = {Cause.DAILY_LOSS, Cause.DRAWDOWN}
        assert set(causes_of(self.status)) - losses == self.held - losses
        assert set(causes_of(self.status)) >= self.held

    @invariant()
    def is_as_strict_as_its_strictest_cause(self) -> None:
        if not hasattr(self, "held"):
            return
        states = [LATCHES[cause].state for cause in causes_of(self.status)]
        strictest = max(states, key=RANK.__getitem__, default=TradingState.ACTIVE)
        assert self.status.state is strictest


TestHalts = Halts.TestCase
TestHalts.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
