"""The protocol names what hinders a measure."""

import json

import pytest

from tfvrnn.config import Config, DataConfig, EvalConfig, UserError
from tfvrnn.evaluation import protocol


def test_the_context_is_advised_where_it_makes_clips_long_enough():
    enough, short = (protocol.fvd_hindrance(EvalConfig(), 3, horizon) for horizon in (6, 5))
    assert "or set --eval.fvd_context" in enough and "--eval.fvd_context" not in short


def test_where_a_dataset_lies_and_how_training_videos_were_changed_does_not_matter(tmp_path):
    plain, moved = (
        {"data": {"dataset": "pusht", "seed": 0, **other}, "settings": {"samples": 2}}
        for other in ({}, {"data_dir": "/old", "service": "grpc://x:1", "flip": True, "crop": 0.5})
    )
    protocol.check_alike([("a", plain), ("b", moved)])
    assert not protocol.protocol_differences(plain, moved, ("data", "settings"))
    other = {**plain, "data": {**plain["data"], "seed": 1}}
    with pytest.raises(UserError, match=r"different protocols: data\.seed: 0, 1"):
        protocol.check_alike([("a", plain), ("b", other)])
    (tmp_path / "old.json").write_text(json.dumps({"protocol": moved}))
    config = Config(data=DataConfig("pusht", "/new"))
    found = protocol.read_settings(tmp_path / "old.json", config)
    assert found.data == config.data and found.eval.samples == 2
