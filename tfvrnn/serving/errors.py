"""Refusals, with the codes that TensorFlow Serving gives them."""

import enum

LONGEST_REASON = 1000


class Code(enum.Enum):
    """gRPC's status codes that the server uses, each with its HTTP status."""

    INVALID_ARGUMENT = 400
    NOT_FOUND = 404
    FAILED_PRECONDITION = 412
    INTERNAL = 500
    UNIMPLEMENTED = 501
    UNAVAILABLE = 503
    DEADLINE_EXCEEDED = 504


class Refusal(Exception):
    """A request that is not answered: its code and one line of reason."""

    def __init__(self, code: Code, reason: str):
        # Not more than a gRPC client takes as the details of a status.
        super().__init__(" ".join(reason.split())[:LONGEST_REASON])
        self.code = code
