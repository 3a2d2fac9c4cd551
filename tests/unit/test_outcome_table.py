"""The decision table of ambiguous outcomes: whole, and of one mind with what it may conclude."""

from itertools import product

import pytest

from daemon.outcome_table import OUTCOMES, Answer, Request, Step, answer_of
from domain.errors import (
    NotAuthorized,
    RequestNotSent,
    VenueError,
    VenueRejected,
    VenueUnavailable,
)
from domain.orders import OrderStatus
from tests.support.orders import a_report

CANNOT_BE = {(Request.SUBMIT, Answer.ABSENT), (Request.SUBMIT_AGAIN, Answer.ABSENT)}
"""Who submits is never told that there is no such order."""


def test_every_answer_to_every_request_has_a_step() -> None:
    assert set(product(Request, Answer)) - OUTCOMES.keys() == CANNOT_BE


@pytest.mark.parametrize("request_made", Request)
def test_silence_proves_nothing(request_made: Request) -> None:
    step = OUTCOMES[request_made, Answer.SILENCE]
    assert step in {Step.LOOK, Step.WAIT, Step.ASK_AGAIN}


def test_only_a_first_attempt_can_be_rejected_or_withheld() -> None:
    ends = {Step.REJECT, Step.WITHHOLD, Step.STOP}
    assert {request for (request, _), step in OUTCOMES.items() if step in ends} == {Request.SUBMIT}


def test_only_an_order_that_is_shown_has_landed() -> None:
    landed = {answer for (_, answer), step in OUTCOMES.items() if step is Step.LANDED}
    assert landed == {Answer.ORDER}


def test_only_a_definite_absence_leads_to_another_attempt() -> None:
    again = [pair for pair, step in OUTCOMES.items() if step is Step.SEND_OR_END]
    assert again == [(Request.LOOK_UP, Answer.ABSENT)]


@pytest.mark.parametrize(
    ("came", "answer"),
    [
        (a_report(OrderStatus.WORKING), Answer.ORDER),
        (None, Answer.ABSENT),
        (NotAuthorized("no", http_status=401, code=None), Answer.KEYS_REFUSED),
        (VenueRejected("no", http_status=422, code=1), Answer.REFUSED),
        (RequestNotSent("no"), Answer.NOT_SENT),
        (VenueUnavailable("no"), Answer.SILENCE),
        (VenueError("no"), Answer.SILENCE),
    ],
)
def test_what_comes_is_one_of_the_answers(came: object, answer: Answer) -> None:
    assert answer_of(came) is answer
