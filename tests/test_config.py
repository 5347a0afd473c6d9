import ast
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tfvrnn import config
from tfvrnn.cli import predict, sample
from tfvrnn.config import (
    Config,
    DataConfig,
    EvalConfig,
    MeasureConfig,
    ModelConfig,
    TrainConfig,
    UserError,
)

PACKAGE = Path(__file__).parents[1] / "tfvrnn"


@pytest.mark.parametrize(
    "size,levels",
    [(8, (1, 4)), (16, (1, 8)), (32, (1, 8, 16)), (64, (1, 8, 32)), (128, (1, 16, 64))],
)
def test_latent_levels_follow_the_size(size, levels):
    assert ModelConfig(image_size=size).resolved_latent_resolutions == levels


@pytest.mark.parametrize(
    "size,channels",
    [
        (64, {64: 64, 32: 128, 16: 256, 8: 512, 4: 512, 1: 512}),
        (128, {128: 64, 64: 128, 32: 256, 16: 512, 8: 512, 4: 512, 1: 512}),
        (8, {8: 64, 4: 64, 1: 64}),
    ],
)
def test_encoder_channels_double_up_to_eight_times(size, channels):
    assert ModelConfig(image_size=size).encoder_channels == channels


def test_channels_double_up_to_the_given_most():
    channels = ModelConfig(image_size=32, width=8, groups=2, max_channels=12).encoder_channels
    assert channels == {32: 8, 16: 12, 8: 12, 4: 12, 1: 12}
    same = ModelConfig(image_size=32, width=8, groups=2, max_channels=8)
    assert set(same.encoder_channels.values()) == {8}
    with pytest.raises(UserError, match="`max_channels` must be 0, or at least `width`"):
        ModelConfig(image_size=32, width=8, groups=2, max_channels=7)


@pytest.mark.parametrize(
    "make,message",
    [
        (lambda: ModelConfig(latent_resolutions=(1, 7)),
         r"resolutions of the encoder \(1, 4, 8, 16, 32, 64\). Received: \(1, 7\)"),
        (lambda: ModelConfig(latent_resolutions=(8, 1)), "must increase, coarsest first"),
        (lambda: ModelConfig(latent_resolutions=(1, 1)), "must increase, coarsest first"),
        (lambda: ModelConfig(latent_resolutions=()), "must be resolutions of the encoder"),
        (lambda: ModelConfig(width=4), "at least 4 of the 32 channels.*Received: width=4"),
        (lambda: ModelConfig(latent_channels=(10,)), r"level \(1, 8, 32\).*: \(10,\)"),
        (lambda: ModelConfig(latent_resolutions=(1,), latent_channels=(0,)), r"level \(1\)"),
        (lambda: ModelConfig(width=20), "divide into 16 groups.*Received: width=20, groups=16"),
        (lambda: ModelConfig(latent_channels=(1, 1, 1)), "must be at least 2 at 1x1.*1, 1, 1"),
        (lambda: ModelConfig(width=0), "`width` must be at least 1. Received: 0"),
        (lambda: ModelConfig(image_size=96), "8 times a power of two.*Received: 96"),
        (lambda: ModelConfig(image_size=4), "8 times a power of two.*Received: 4"),
        (lambda: ModelConfig(channels=2), "`channels` must be 1 or 3. Received: 2"),
        (lambda: ModelConfig(context_frames=0), "`context_frames` must be at least 1. Received: 0"),
        (lambda: ModelConfig(family="gan"), "must be one of vrnn, svg, prednet, copy_last"),
        (lambda: ModelConfig(prednet_stacks=(8, 8)), "must be three numbers of channels"),
        (lambda: ModelConfig(prednet_stacks=(8, 0, 8)), "must be three numbers of channels"),
        (lambda: ModelConfig(reconstruction="l3"), "`reconstruction` must be one of l1, l2, bce"),
        (lambda: DataConfig(horizon=0), "`horizon` must be at least 1. Received: 0"),
        (lambda: DataConfig(dataset="mnist"), r"`dataset` must be one of smmnist.*'mnist'"),
        (lambda: DataConfig(horizon=2.5), "`horizon` must be int. Received: 2.5"),
        (lambda: ModelConfig(channels=True), "`channels` must be int. Received: True"),
        (lambda: EvalConfig(horizon=2.5), "`horizon` must be int. Received: 2.5"),
        (lambda: ModelConfig(latent_resolutions=(1.0, 8.0)), "must be int. Received: 1.0"),
        (lambda: ModelConfig(latent_resolutions=8), "must be a tuple. Received: 8"),
        (lambda: ModelConfig(image_size=64.0), "`image_size` must be int. Received: 64.0"),
        (lambda: TrainConfig(steps=0), "`steps` must be at least 1. Received: 0"),
        (lambda: TrainConfig(learning_rate=0.0), "`learning_rate` must be positive. Received: 0"),
        (lambda: TrainConfig(learning_rate=float("nan")), "`learning_rate` must be finite"),
        (
            lambda: TrainConfig(average_decay=1.0),
            "`average_decay` must be at least 0 and below 1. Received: 1.0",
        ),
        (lambda: sample.Options(), "`run_dir` must name a run folder"),
        (lambda: sample.Options("run", out="a.mp4"), "`out` must end in .gif. Received: 'a.mp4'"),
        (lambda: sample.Options("run", samples=0), "`samples` must be at least 1"),
        (lambda: sample.Options("run", temperature=-0.5), "`temperature` must be at least 0"),
        (lambda: EvalConfig(temperature=-1.0), "`temperature` must be at least 0"),
        (lambda: predict.Options(export="e", video="v", temperature=0.5), "an export has its own"),
        (lambda: ModelConfig(advection=4), "the side of a frame. Received: 4"),
        (lambda: ModelConfig(advection=-1), "the side of a frame. Received: -1"),
        (lambda: ModelConfig(initial_variance=0.0), "must lie in 0.0001 to 100. Received: 0.0"),
        (lambda: TrainConfig(scheduled_sampling=1.5), r"must be in \[0, 1\]. Received: 1.5"),
        (lambda: TrainConfig(scheduled_mode="serial"), "`scheduled_mode` must be one of"),
        (lambda: TrainConfig(scheduled_sampling=1.0, scheduled_mode="sequential", remat=True),
         "`remat` needs `scheduled_mode=parallel`. Received: sequential"),
        (lambda: Config(model=ModelConfig(family="svg"), train=TrainConfig(scheduled_sampling=0.5)),
         "`train.scheduled_sampling` needs `model.family=vrnn`. Received: svg"),
        (lambda: DataConfig(service="http://host:5050"), "`service` must be grpc://HOST:PORT"),
        (lambda: DataConfig(seed=2**32), r"`seed` must be below 2\*\*32.*Received: 4294967296"),
        (lambda: TrainConfig(seed=2**63), r"`seed` must be below 2\*\*32"),
        (lambda: EvalConfig(horizon=0), "`horizon` must be at least 1. Received: 0"),
        (lambda: Config(data=DataConfig(batch_size=6), train=TrainConfig(accumulate=4)),
         "must divide into `train.accumulate` portions. Received: batch_size=6, accumulate=4"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_says_so(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_values_become_plain():
    assert DataConfig(data_dir=Path("data")).data_dir == "data"
    horizon = DataConfig(horizon=np.int64(3)).horizon
    assert horizon == 3 and type(horizon) is int
    assert type(TrainConfig(learning_rate=np.float32(0.5)).learning_rate) is float
    assert ModelConfig(latent_resolutions=[1, 8]).latent_resolutions == (1, 8)


def test_configurations_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().model.width = 32


# The names under which the parts of a configuration are read.
OWNERS = {
    ModelConfig: ("model", "config", "self"),
    DataConfig: ("data",),
    TrainConfig: ("train", "settings", "config"),
    EvalConfig: ("eval", "settings"),
    MeasureConfig: ("settings", "self"),
}


def reads():
    """Yield (owner's last name, attribute) of every attribute read, except in option checks."""
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef) and function.name == "__post_init__":
                function.body = []
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                owner = node.value
                yield getattr(owner, "attr", getattr(owner, "id", "")), node.attr


@pytest.mark.parametrize("part", OWNERS)
def test_every_option_is_read(part):
    read = {name for owner, name in reads() if owner in OWNERS[part]}
    assert not [f.name for f in dataclasses.fields(part) if f.name not in read]


@pytest.mark.parametrize("part", [ModelConfig, DataConfig, TrainConfig, EvalConfig, MeasureConfig])
def test_every_option_has_a_help(part):
    assert all(f.metadata["help"].endswith(".") for f in dataclasses.fields(part))


def test_config_is_standard_library_only():
    for path in Path(config.__file__).parent.glob("*.py"):
        assert "tensorflow" not in path.read_text()
