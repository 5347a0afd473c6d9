"""Refusals, with the codes that TensorFlow Serving gives them."""

import enum

LONGEST_REASON = 1000  # bytes as gRPC sends them: %XX for % and all but printable ASCII


class Code(enum.Enum):
    """The gRPC status codes that the server uses, each with its HTTP status."""

    INVALID_ARGUMENT = 400
    NOT_FOUND = 404
    FAILED_PRECONDITION = 412
    INTERNAL = 500
    UNIMPLEMENTED = 501
    UNAVAILABLE = 503
    DEADLINE_EXCEEDED = 504


def _cut(text: str) -> str:
    """Cut a text to what a gRPC client accepts as the details of a status."""
    length = 0
    for place, character in enumerate(text):
        plain = " " <= character <= "~" and character != "%"
        length += 1 if plain else 3 * len(character.encode("utf-8", "surrogatepass"))
        if length > LONGEST_REASON:
            return text[:place]
    return text


class Refusal(Exception):
    """Refusal of a request: a code and a one-line reason."""

    def __init__(self, code: Code, reason: str):
        super().__init__(_cut(" ".join(reason.split())))
        self.code = code
