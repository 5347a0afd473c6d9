"""Refusals, with the codes that TensorFlow Serving gives them."""

import enum

LONGEST_REASON = 1000


class Code(enum.Enum):
    """The gRPC status codes that the server uses, each with its HTTP status."""

    INVALID_ARGUMENT = 400
    NOT_FOUND = 404
    FAILED_PRECONDITION = 412
    INTERNAL = 500
    UNIMPLEMENTED = 501
    UNAVAILABLE = 503
    DEADLINE_EXCEEDED = 504


class Refusal(Exception):
    """Refusal of a request: a code and a one-line reason."""

    def __init__(self, code: Code, reason: str):
        # Cut the reason to what a gRPC client accepts as the details of a status.
        super().__init__(" ".join(reason.split())[:LONGEST_REASON])
        self.code = code
