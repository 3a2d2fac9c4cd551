"""What follows from an answer, or from none: the decision table of submitting and canceling.

An outcome is definite only when an answer of the venue proves it. Everything else is looked up by
the order's id; the same id is sent again only after a definite "no such order" and a quiet time.
There are no replacements: a wish that changes cancels first, and orders anew under a new id once
the end of the old one is known.
"""

from collections.abc import Mapping
from enum import StrEnum

from domain.errors import NotAuthorized, RequestNotSent, VenueError, VenueRejected


class Request(StrEnum):
    """What was asked of the venue."""

    SUBMIT = "submit"
    SUBMIT_AGAIN = "submit again, the same id"
    LOOK_UP = "look up by id"
    CANCEL = "cancel"


class Answer(StrEnum):
    """What came of it."""

    ORDER = "the order"
    ABSENT = "no such order"
    REFUSED = "a definite refusal"
    KEYS_REFUSED = "our keys are refused"
    NOT_SENT = "nothing left us"
    SILENCE = "time-out, reset, 5xx, gibberish"


class Step(StrEnum):
    """What is to be done."""

    LANDED = "it is at the venue: follow its news"
    WITHHOLD = "it never left: withheld"
    REJECT = "rejected"
    STOP = "withheld, and the program ends"
    LOOK = "look it up by id"
    WAIT = "look again later"
    SEND_OR_END = (
        "quiet since the last attempt: send the same id again while approved, else, after a longer "
        "quiet, end it"
    )
    ASK_AGAIN = "ask again, so often; then reconciling finds the order working and asks anew"


OUTCOMES: Mapping[tuple[Request, Answer], Step] = {
    (Request.SUBMIT, Answer.ORDER): Step.LANDED,
    (Request.SUBMIT, Answer.NOT_SENT): Step.WITHHOLD,
    (Request.SUBMIT, Answer.REFUSED): Step.REJECT,
    (Request.SUBMIT, Answer.KEYS_REFUSED): Step.STOP,
    (Request.SUBMIT, Answer.SILENCE): Step.LOOK,
    (Request.SUBMIT_AGAIN, Answer.ORDER): Step.LANDED,
    (Request.SUBMIT_AGAIN, Answer.NOT_SENT): Step.LOOK,
    # Our own first copy may hold the buying power, or the id: it proves nothing.
    (Request.SUBMIT_AGAIN, Answer.REFUSED): Step.LOOK,
    (Request.SUBMIT_AGAIN, Answer.KEYS_REFUSED): Step.LOOK,
    (Request.SUBMIT_AGAIN, Answer.SILENCE): Step.LOOK,
    (Request.LOOK_UP, Answer.ORDER): Step.LANDED,
    # A look-up may lag behind what was accepted, and a slow gateway may still have the order.
    (Request.LOOK_UP, Answer.ABSENT): Step.SEND_OR_END,
    (Request.LOOK_UP, Answer.REFUSED): Step.WAIT,
    (Request.LOOK_UP, Answer.KEYS_REFUSED): Step.WAIT,
    (Request.LOOK_UP, Answer.NOT_SENT): Step.WAIT,
    (Request.LOOK_UP, Answer.SILENCE): Step.WAIT,
    # That it is done or finished already is an answer, too: its end comes as news.
    (Request.CANCEL, Answer.ORDER): Step.LANDED,
    (Request.CANCEL, Answer.ABSENT): Step.ASK_AGAIN,
    (Request.CANCEL, Answer.REFUSED): Step.ASK_AGAIN,
    (Request.CANCEL, Answer.KEYS_REFUSED): Step.ASK_AGAIN,
    (Request.CANCEL, Answer.NOT_SENT): Step.ASK_AGAIN,
    (Request.CANCEL, Answer.SILENCE): Step.ASK_AGAIN,
}
"""By request and answer; pairs not here cannot come about."""


def answer_of(came: object) -> Answer:
    """Return what an answer, or the fault that came instead, is in the table's words."""
    match came:
        case None:
            return Answer.ABSENT
        case NotAuthorized():
            return Answer.KEYS_REFUSED
        case VenueRejected():
            return Answer.REFUSED
        case RequestNotSent():
            return Answer.NOT_SENT
        case VenueError():
            return Answer.SILENCE
        case _:
            return Answer.ORDER


def markdown() -> str:
    """Return the table for the docs; the same text every time."""
    lines = ["| request | answer | what follows |", "|---|---|---|"]
    for (request, answer), step in OUTCOMES.items():
        lines.append(f"| {request.value} | {answer.value} | {step.value} |")
    return "\n".join(lines) + "\n"
