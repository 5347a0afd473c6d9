"""The core gives equal results on Keras' TensorFlow and JAX backends."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from backend_program import MODEL
from conformance import ROWS, make

from tfvrnn.models import build_model


def moved(weights, rng):
    """Weights off their initial values, where scales of 0 would hide differences.

    Kernels move by their fan-in, so that activations keep their size: where they grow to 1e7, as
    they do in SVG's decoder otherwise, rounding errors before its sigmoid grow with them.
    """
    scales = [0.2 if w.ndim < 2 else 0.5 / np.sqrt(np.prod(w.shape[:-1])) for w in weights]
    return [
        (w + rng.normal(scale=scale, size=w.shape)).astype(np.float32)
        for w, scale in zip(weights, scales)
    ]


def run(backend, given, folder):
    output = folder / f"{backend}.npz"
    # Most of the time goes into compiling hundreds of small operations.
    quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment = os.environ | {"KERAS_BACKEND": backend} | quick
    program = Path(__file__).parent / "backend_program.py"
    command = [sys.executable, str(program), str(given), str(output)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(output) as file:
        return dict(file)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("backends"), np.random.default_rng(0)
    model = build_model(MODEL)
    given = {"frames": rng.uniform(size=(2, 4, 16, 16, 1)).astype(np.float32)}
    for k, shape in enumerate(model.noise_shapes(2, 2)):
        given[f"noise/{k}"] = rng.normal(size=shape).astype(np.float32)
    layers = {"weight": model} | {name: make(name) for name in ROWS}
    for name, layer in layers.items():
        weights = moved(layer.get_weights(), rng)
        given |= {f"{name}/{k}": weight for k, weight in enumerate(weights)}
    np.savez(folder / "given.npz", **given)
    found = {b: run(b, folder / "given.npz", folder) for b in ("tensorflow", "jax")}
    return found | {"given": given, "folder": folder}


@pytest.mark.parametrize("name", ROWS)
def test_every_row_of_the_table_is_equal(results, name):
    outputs = [key for key in results["tensorflow"] if key.startswith(f"{name}/")]
    assert outputs
    for key in outputs:
        expected, found = results["tensorflow"][key], results["jax"][key]
        bound = 3e-5 * max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(found, expected, atol=bound, rtol=0, err_msg=key)


def test_equal_terms_predictions_and_rollouts(results):
    expected, found = results["tensorflow"], results["jax"]
    assert set(expected) == set(found)
    for name, value in expected.items():
        if not name.startswith("gradient"):
            bound = 3e-5 * max(1.0, np.abs(value).max())
            np.testing.assert_allclose(found[name], value, atol=bound, rtol=0, err_msg=name)


def test_weights_saved_under_jax_load_under_tensorflow(results):
    model = build_model(MODEL, seed=1)
    model.load_weights(results["folder"] / "jax.weights.h5")
    for k, weight in enumerate(model.get_weights()):
        np.testing.assert_array_equal(weight, results["given"][f"weight/{k}"])


def test_equal_gradients(results):
    expected, found = results["tensorflow"], results["jax"]
    names = [name for name in expected if name.startswith("gradient")]
    largest = max(np.abs(expected[name]).max() for name in names)
    assert names and largest > 0
    for name in names:
        # A bias before a normalisation has a gradient of rounding errors alone.
        bound = 3e-5 * max(np.abs(expected[name]).max(), 1e-2 * largest)
        np.testing.assert_allclose(found[name], expected[name], atol=bound, rtol=0, err_msg=name)
