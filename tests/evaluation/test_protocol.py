"""The protocol names what hinders a measure."""

from tfvrnn.config import EvalConfig
from tfvrnn.evaluation import protocol


def test_the_context_is_advised_where_it_makes_clips_long_enough():
    enough, short = (protocol.fvd_hindrance(EvalConfig(), 3, horizon) for horizon in (6, 5))
    assert "or set --eval.fvd_context" in enough and "--eval.fvd_context" not in short
