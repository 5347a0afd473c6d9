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
