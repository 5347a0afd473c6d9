import gc
import subprocess
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, Phase, settings
from tensorflow.python.framework import ops

# As training on a CPU does: the graph optimizer takes longer than these graphs run.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

# Fuzzing: the same few cases in every run; many others with --hypothesis-profile=long.
FUZZING = dict(
    deadline=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
    database=None,
)
settings.register_profile("short", max_examples=40, derandomize=True, **FUZZING)
settings.register_profile("long", max_examples=500, **FUZZING)
settings.load_profile("short")


@pytest.fixture(scope="module", autouse=True)
def forget_models():
    """Models and traced graphs of one file do not stay in memory for the next."""
    yield
    keras.utils.clear_session()
    gc.collect()


@pytest.fixture(autouse=True)
def collect_after_long_tests():
    """Traced graphs are large and hang in circles of references.

    TensorFlow also keeps the gradient of every traced tf.custom_gradient for ever, and with it
    the graph, half a gigabyte for a train step; a run traces once, but the tests would run out
    of memory.
    """
    started = time.perf_counter()
    yield
    if time.perf_counter() - started > 1:
        registry = ops.gradient_registry._registry
        for name in [name for name in registry if name.startswith("CustomGradient-")]:
            del registry[name]
        gc.collect()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def ffmpeg():
    """FFmpeg's own program as a function of its arguments: it returns what was printed."""
    import imageio_ffmpeg

    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]

    def run(*arguments) -> bytes:
        line = [*program, *map(str, arguments)]
        return subprocess.run(line, check=True, stdout=subprocess.PIPE).stdout

    return run


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """A run folder as training leaves it, with moving averages that are not the weights.

    Many tests share it: what would write into it copies it first.
    """
    from tfvrnn.config import Config, DataConfig, ModelConfig, TrainConfig
    from tfvrnn.models import build_model
    from tfvrnn.runs import RunFolder
    from tfvrnn.runs.checkpoints import Checkpoints
    from tfvrnn.training.optimizer import MovingAverages, make_optimizer

    folder = tmp_path_factory.mktemp("run") / "run"
    config = Config(
        model=ModelConfig(image_size=8, channels=1, width=8, groups=2, latent_resolutions=(1,)),
        data=DataConfig(horizon=2, batch_size=2, digits=1),
        train=TrainConfig(average_decay=0.5),
    )
    model = build_model(config.model)
    optimizer = make_optimizer(config.train)
    optimizer.build(model.trainable_variables)
    averages = MovingAverages(model, config.train.average_decay)
    for weight in averages.weights:
        weight.assign(0.5 * weight)
    checkpoints = Checkpoints(RunFolder(folder), model, optimizer, averages)
    checkpoints.advance(4)
    checkpoints.advance(4)
    checkpoints.save()
    RunFolder(folder).write_config(config)
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    yield folder
    assert files == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture
def eagerly():
    """tf.functions run eagerly: what runs once does so sooner than it is traced."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
