"""Refused orders: what would be refused again is told, and not asked for at every slot."""

from datetime import timedelta

import pytest

from daemon.alpaca.errors import FailedAnswer
from daemon.engine.commands import Notify
from daemon.engine.refusing import ADVICE, ASKED_AGAIN_AFTER
from domain.errors import VenueRejected, WhyRefused
from domain.events import Action, AssetsRead, SubmitRejected
from domain.instruments import AssetRights
from domain.orders import ApprovedOrder, OrderStatus, Severity
from tests.support.engines import MONDAY, NAN, TUESDAY, A, Desk, a_desk

LONG_A = (1.0, NAN, NAN)
MOMENT, FUNDS, SHARES = WhyRefused.MOMENT, WhyRefused.FUNDS, WhyRefused.SHARES
OPPOSITE, ASSET, ACCOUNT = WhyRefused.OPPOSITE, WhyRefused.ASSET, WhyRefused.ACCOUNT
TERMS, UNKNOWN = WhyRefused.TERMS, WhyRefused.UNKNOWN

# The venue's own words, from its reference and its wire.
ANSWERS = [
    (403, 40310000, "insufficient buying power", FUNDS),
    (403, 40310000, "cost basis must be >= minimal amount of order 1", FUNDS),
    (422, 40010001, "notional must be >= 1.00", FUNDS),
    (403, 40310000, "insufficient qty available for order (requested: 5, available: 0)", SHARES),
    (403, 40310000, "potential wash trade detected. use complex orders", OPPOSITE),
    (422, 42210000, "potential wash trade detected. use complex orders", OPPOSITE),
    (403, 40310000, "cannot open a short sell while a long buy order is open", OPPOSITE),
    (403, 40310000, "cannot open a long buy while a short sell order is open", OPPOSITE),
    (422, 42210000, "oco orders must be exit orders", MOMENT),
    (422, 40010001, "asset XYZ is not active", ASSET),
    (422, 42210000, 'asset "XYZ" is not tradable', ASSET),
    (422, 42210000, 'asset "XYZ" not found', ASSET),
    (403, 40310000, 'asset "XYZ" is not fractionable', ASSET),
    (403, 40310000, 'asset "XYZ" cannot be sold short', ASSET),
    (422, 42210000, 'asset "XYZ" cannot be sold short', ASSET),
    (403, 40310000, "account is not allowed to short", ACCOUNT),
    (403, 40310100, "trade denied due to pattern day trading protection", ACCOUNT),
    (422, 40010001, "qty must be > 0", TERMS),
    (422, 40010001, "client_order_id must be no more than 128 characters", TERMS),
    (422, 42210000, "invalid limit_price 150.123. sub-penny increment does not fulfill", TERMS),
    (422, 42210000, "fractional orders must be DAY orders", TERMS),
    (400, 40010000, "request body format is invalid", TERMS),
    (403, 40310000, "the moon is in the wrong house", UNKNOWN),
    (422, 49999999, "no", UNKNOWN),
]
PASSING = {MOMENT, FUNDS, SHARES, OPPOSITE}


@pytest.mark.parametrize(("status", "code", "said", "why"), ANSWERS)
def test_every_refusal_of_the_reference_is_sorted_by_whether_it_lasts(
    status: int, code: int, said: str, why: WhyRefused
) -> None:
    body = b'{"code": %d, "message": "%s"}' % (code, said.replace('"', '\\"').encode())
    fault = FailedAnswer(method="POST", asked="POST /orders", status=status, body=body).fault()
    assert isinstance(fault, VenueRejected)
    assert fault.why is why
    assert fault.why.is_lasting is (why not in PASSING)


def test_a_person_is_advised_about_each_kind() -> None:
    assert set(ADVICE) == set(WhyRefused)


# --- what the engine makes of them ---------------------------------------------------------------


def refuse(desk: Desk, order: ApprovedOrder, why: WhyRefused) -> Notify:
    """Let the venue refuse an order; return what a person is told."""
    desk.start(order)
    identity = order.intent.client_order_id
    commands = desk.post(
        SubmitRejected(at=desk.now, client_order_id=identity, reason="no", code=7, why=why)
    )
    (told,) = [c for c in commands if isinstance(c, Notify)]
    return told


def refused(why: WhyRefused) -> Desk:
    """A desk whose first order for AAA was refused."""
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    refuse(desk, desk.sent[0], why)
    return desk


@pytest.mark.parametrize("why", sorted(PASSING))
def test_a_passing_refusal_is_asked_again_at_the_next_slot(why: WhyRefused) -> None:
    desk = refused(why)
    desk.slot(desk.next_slot())
    assert len(desk.sent) == 2


@pytest.mark.parametrize("why", sorted(set(WhyRefused) - PASSING))
def test_a_lasting_one_is_not(why: WhyRefused) -> None:
    desk = refused(why)
    for _ in range(5):
        desk.slot(desk.next_slot())
    assert len(desk.sent) == 1
    assert "refused by the venue" in " ".join(desk.decision.outcomes[A].reasons)


def asset_changes(desk: Desk) -> None:
    known = desk.engine.core.rights[A]
    changed = AssetRights(
        tradable=True, shortable=known.shortable, fractionable=not known.fractionable
    )
    desk.post(AssetsRead(at=desk.now, rights={A: changed}))


def a_morning(desk: Desk) -> None:
    desk.close(MONDAY)
    desk.open(TUESDAY, at=TUESDAY.opens_at + timedelta(hours=1))
    desk.poll()


def a_resume(desk: Desk) -> None:
    desk.ask(Action.RESUME)


@pytest.mark.parametrize("change", [asset_changes, a_morning, a_resume])
def test_it_is_asked_again_once_something_has_changed(change) -> None:  # type: ignore[no-untyped-def]
    desk = refused(ASSET)
    change(desk)
    desk.slot(desk.next_slot())
    assert len(desk.sent) == 2


def test_an_asset_that_is_read_and_has_not_changed_changes_nothing() -> None:
    desk = refused(ASSET)
    desk.post(AssetsRead(at=desk.now, rights=dict(desk.engine.core.rights)))
    desk.slot(desk.next_slot())
    assert len(desk.sent) == 1


def test_a_person_is_told_what_it_is_about_and_what_to_do() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    told = refuse(desk, desk.sent[0], ASSET)
    assert told.severity is Severity.WARNING
    assert told.fields["about"] == "the asset"
    assert "EXCLUDED_SYMBOLS" in str(told.fields["action"])


def test_what_nobody_knows_is_critical() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    assert refuse(desk, desk.sent[0], UNKNOWN).severity is Severity.CRITICAL


def stopped() -> tuple[Desk, ApprovedOrder]:
    """A desk that holds AAA, whose price has fallen, and the order that is to sell it."""
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    desk.fill_all()
    for _ in range(2):
        desk.wait(5).poll(AAA=90.0)
    return desk, desk.sent[-1]


def test_an_exit_that_is_refused_for_good_is_critical_and_asked_for_again_later() -> None:
    desk, exit_order = stopped()
    assert refuse(desk, exit_order, ASSET).severity is Severity.CRITICAL
    sent = len(desk.sent)
    for _ in range(10):
        desk.wait(60).poll(AAA=90.0)
    assert len(desk.sent) == sent
    for _ in range(3):
        desk.wait(ASKED_AGAIN_AFTER.total_seconds()).poll(AAA=90.0)
    assert len(desk.sent) > sent


def test_a_flatten_asks_at_once() -> None:
    desk, exit_order = stopped()
    refuse(desk, exit_order, ASSET)
    sent = len(desk.sent)
    desk.wait(30)
    desk.ask(Action.FLATTEN)
    assert len(desk.sent) == sent + 1


def test_an_order_rejected_after_it_was_taken_is_told() -> None:
    desk = a_desk(one=LONG_A)
    desk.slot(desk.next_slot())
    order = desk.work(desk.sent[0])
    commands = desk.tell(order, OrderStatus.REJECTED)
    (told,) = [c for c in commands if isinstance(c, Notify)]
    assert "that it had taken" in told.message
