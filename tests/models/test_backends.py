"""The core gives equal results on Keras' TensorFlow and JAX backends."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

# Run under each backend: weights and inputs from a file, results into another.
PROGRAM = """
import sys
import keras, numpy as np
from tfvrnn.config import ModelConfig
from tfvrnn.models import build_model

assert keras.backend.backend() == sys.argv[3]
given = np.load(sys.argv[1])
model = build_model(ModelConfig(image_size=16, channels=1, width=8, groups=2))
noise = [given["noise_0"], given["noise_1"]]
model.set_weights([given[f"weight_{k}"] for k in range(len(model.weights))])
out = {}
terms, predictions = model.training_terms(given["frames"], noise)
out |= terms | {"predictions": predictions}
out |= {f"latent_kl_{r}": kl for r, kl in model.latent_kl(given["frames"], noise).items()}
state = model.begin(given["frames"][:, :2])
for t in range(2):
    state, out[f"frame_{t}"] = model.step(state, [z[:, t] for z in noise])
_, out["mean"] = model.step(state, None, mean=True)

def loss(outputs):
    terms, _ = outputs
    return sum(terms.values()).sum() if sys.argv[3] == "jax" else tf.reduce_sum(sum(terms.values()))

if sys.argv[3] == "jax":
    import jax
    def function(values):
        with keras.StatelessScope(state_mapping=list(zip(model.trainable_variables, values))):
            return loss(model.training_terms(given["frames"], noise))
    gradients = jax.jit(jax.grad(function))([v.value for v in model.trainable_variables])
else:
    import tensorflow as tf
    with tf.GradientTape() as tape:
        total = loss(model.training_terms(given["frames"], noise))
    gradients = tape.gradient(total, model.trainable_variables)
out |= {f"gradient_{k}": g for k, g in enumerate(gradients)}
np.savez(sys.argv[2], **{name: np.asarray(value) for name, value in out.items()})
"""


def run(backend, given, folder):
    output = folder / f"{backend}.npz"
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [sys.executable, "-c", PROGRAM, str(given), str(output), backend]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(output) as file:
        return dict(file)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    from tfvrnn.config import ModelConfig
    from tfvrnn.models import build_model

    folder, rng = tmp_path_factory.mktemp("backends"), np.random.default_rng(0)
    model = build_model(ModelConfig(image_size=16, channels=1, width=8, groups=2))
    given = {"frames": rng.uniform(size=(2, 4, 16, 16, 1)).astype(np.float32)}
    for k, shape in enumerate(model.noise_shapes(2, 2)):
        given[f"noise_{k}"] = rng.normal(size=shape).astype(np.float32)
    for k, weight in enumerate(model.get_weights()):
        # Off their initial values, where scales of 0 would hide differences.
        change = rng.normal(scale=0.2, size=weight.shape)
        given[f"weight_{k}"] = (weight + change).astype(np.float32)
    np.savez(folder / "given.npz", **given)
    return {
        backend: run(backend, folder / "given.npz", folder) for backend in ("tensorflow", "jax")
    }


def test_equal_terms_predictions_and_rollouts(results):
    expected, found = results["tensorflow"], results["jax"]
    assert set(expected) == set(found)
    for name, value in expected.items():
        if not name.startswith("gradient"):
            bound = 1e-4 * max(1.0, np.abs(value).max())
            np.testing.assert_allclose(found[name], value, atol=bound, err_msg=name)


def test_equal_gradients(results):
    expected, found = results["tensorflow"], results["jax"]
    names = [name for name in expected if name.startswith("gradient")]
    largest = max(np.abs(expected[name]).max() for name in names)
    assert names and largest > 0
    for name in names:
        # A bias before a normalisation has a gradient of rounding errors alone.
        bound = 1e-4 * max(np.abs(expected[name]).max(), 1e-2 * largest)
        np.testing.assert_allclose(found[name], expected[name], atol=bound, err_msg=name)
