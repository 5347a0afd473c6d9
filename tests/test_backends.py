"""The core gives equal results on Keras' TensorFlow, JAX and PyTorch backends."""

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from backend_program import IN_FILE, MODEL
from conformance import ROWS, make

from tfvrnn.models import build_model

pytestmark = pytest.mark.thorough


def moved(weights, rng):
    """Move weights off their initial values, where scales of 0 would hide differences.

    Kernels move by their fan-in, so that activations keep their size. Otherwise they would grow to
    1e7 in SVG's decoder, and rounding errors before its sigmoid would grow with them.
    """
    scales = [0.2 if w.ndim < 2 else 0.5 / np.sqrt(np.prod(w.shape[:-1])) for w in weights]
    return [
        (w + rng.normal(scale=scale, size=w.shape)).astype(np.float32)
        for w, scale in zip(weights, scales)
    ]


def run(backend, given, folder):
    output = folder / f"{backend}.npz"
    # Compiling hundreds of small operations takes most of the time.
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
    given["bytes"] = rng.integers(0, 256, size=(4, 4, 8, 8, 1)).astype(np.uint8)
    for k, shape in enumerate(model.noise_shapes(2, 2)):
        given[f"noise/{k}"] = rng.normal(size=shape).astype(np.float32)
    layers = {"weight": model} | {name: make(name) for name in ROWS}
    for name, layer in layers.items():
        weights = moved(layer.get_weights(), rng)
        given |= {f"{name}/{k}": weight for k, weight in enumerate(weights)}
    np.savez(folder / "given.npz", **given)
    in_file = build_model(IN_FILE, seed=2**32 - 1, horizon=3)
    in_file.set_weights(moved(in_file.get_weights(), rng))
    in_file.likelihood.error.assign([0.05])
    in_file.compile(keras.optimizers.SGD(1e-4), beta=0.5, fine_beta=3.0)
    in_file.save(folder / "given.keras")
    expected = run("tensorflow", folder / "given.npz", folder)
    return {"tensorflow": expected, "given": given, "folder": folder}


@pytest.fixture(scope="module", params=["jax", "torch"])
def other(request, results):
    """Yield another backend's name, after its results are computed."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    if request.param not in results:
        found = run(request.param, results["folder"] / "given.npz", results["folder"])
        results[request.param] = found
    return request.param


@pytest.mark.parametrize("name", ROWS)
def test_every_row_of_the_table_is_equal(results, other, name):
    outputs = [key for key in results["tensorflow"] if key.startswith(f"{name}/")]
    assert outputs
    for key in outputs:
        expected, found = results["tensorflow"][key], results[other][key]
        bound = 3e-5 * max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(found, expected, atol=bound, rtol=0, err_msg=key)


def test_equal_terms_predictions_and_rollouts(results, other):
    expected, found = results["tensorflow"], results[other]
    assert set(expected) == set(found)
    for name, value in expected.items():
        if not name.startswith(("gradient", "file/", "kept")):
            bound = 3e-5 * max(1.0, np.abs(value).max())
            np.testing.assert_allclose(found[name], value, atol=bound, rtol=0, err_msg=name)


def test_weights_saved_elsewhere_load_under_tensorflow(results, other):
    model = build_model(MODEL, seed=1)
    model.load_weights(results["folder"] / f"{other}.weights.h5")
    for k, weight in enumerate(model.get_weights()):
        np.testing.assert_array_equal(weight, results["given"][f"weight/{k}"])


def test_equal_gradients(results, other):
    expected, found = results["tensorflow"], results[other]
    names = [name for name in expected if name.startswith("gradient")]
    largest = max(np.abs(expected[name]).max() for name in names)
    assert names and largest > 0
    for name in names:
        # A bias before a normalisation has a gradient of rounding errors only.
        bound = 3e-5 * max(np.abs(expected[name]).max(), 1e-2 * largest)
        np.testing.assert_allclose(found[name], expected[name], atol=bound, rtol=0, err_msg=name)


def test_a_file_is_the_same_model_and_trains_the_same_everywhere(results, other):
    """Compare mean futures, losses, metrics and the scale that follows the data."""
    expected, found = results["tensorflow"], results[other]
    names = [name for name in expected if name.startswith("file/")]
    assert len(names) > 15
    for name in names:
        if name not in ("file/futures", "file/predicted"):  # other noise
            np.testing.assert_allclose(
                found[name], expected[name], atol=1e-4, rtol=1e-4, err_msg=name
            )
    assert expected["file/step_1/loss"] != expected["file/step_0/loss"]


def test_a_file_saved_elsewhere_loads_under_tensorflow(results, other):
    path = results["folder"] / f"{other}.keras"
    assert b"keras.src.backend" not in zipfile.ZipFile(path).read("config.json")  # needs no other
    model = keras.saving.load_model(path)
    assert model.compiled and model.optimizer.iterations == 6
    frames = model.generate(results["given"]["bytes"][:, :2], 3, mean=True)
    np.testing.assert_allclose(frames, results[other]["kept"], atol=1e-4)
    with np.load(results["folder"] / f"{other}.npz") as out:
        assert model.seed_generator.state[1] == out["drawn"]


def test_jax_and_pytorch_draw_equal_futures(results, other):
    if other == "jax":
        pytest.skip("compared with the other")
    for name in ("file/futures", "file/predicted"):
        np.testing.assert_allclose(results["jax"][name], results["torch"][name], atol=1e-4)
        assert np.abs(results["jax"][name] - results["tensorflow"][name]).max() > 1e-3
