import numpy as np
import pytest
import tensorflow as tf

# As training on a CPU does: the graph optimizer takes longer than these graphs run.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture
def rng():
    return np.random.default_rng(0)
