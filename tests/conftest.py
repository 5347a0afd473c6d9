import dataclasses
import gc
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

# As training on a CPU does: the graph optimizer takes longer than these graphs run.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture(scope="module", autouse=True)
def forget_models():
    """Models and traced graphs of one file do not stay in memory for the next."""
    yield
    keras.utils.clear_session()
    gc.collect()


@pytest.fixture(autouse=True)
def collect_after_long_tests():
    """Traced graphs are large and hang in circles of references."""
    started = time.perf_counter()
    yield
    if time.perf_counter() - started > 1:
        gc.collect()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """A run folder of two steps, with moving averages."""
    from tfvrnn.config import Config, DataConfig, ModelConfig, TrainConfig
    from tfvrnn.training import train

    folder = tmp_path_factory.mktemp("run") / "run"
    model = ModelConfig(image_size=8, channels=1, width=8, groups=2, latent_resolutions=(1, 4))
    data = DataConfig(horizon=2, batch_size=2, digits=1)
    settings = TrainConfig(
        run_dir=str(folder), steps=2, average_decay=0.5, validation_videos=2, pictures=0
    )
    train(dataclasses.replace(Config(), model=model, data=data, train=settings))
    return folder
