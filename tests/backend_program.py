"""Run the core on the backend that KERAS_BACKEND names, from a file of inputs to one of outputs.

python backend_program.py GIVEN.npz OUT.npz

GIVEN.keras, a compiled model, lies beside GIVEN.npz. Two files are written beside OUT.npz:
OUT.weights.h5, the model's weights as Keras saves them, and OUT.keras, the given model after some
training.
"""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras
import numpy as np
from conformance import ROWS, flat, make, make_inputs

from tfvrnn import sampling
from tfvrnn.config import ModelConfig, UserError
from tfvrnn.models import build_model
from tfvrnn.runs import load_pretrained, load_run

MODEL = ModelConfig(image_size=16, channels=1, width=8, groups=2)
IN_FILE = ModelConfig(
    image_size=8,
    channels=1,
    width=8,
    groups=2,
    latent_resolutions=(1, 4),
    reconstruction="gaussian",
)
BACKEND = keras.backend.backend()


def main(given_path, out_path):
    if BACKEND != "tensorflow":
        check_refusal()
    with np.load(given_path) as file:
        given = dict(file)
    out = {}
    for name in ROWS:
        layer = make(name)
        layer.set_weights([given[f"{name}/{k}"] for k in range(len(layer.weights))])
        out |= {f"{name}/{k}": x for k, x in enumerate(flat(layer(*make_inputs(name))))}
    model = build_model(MODEL)
    model.set_weights([given[f"weight/{k}"] for k in range(len(model.weights))])
    model.save_weights(Path(out_path).with_suffix(".weights.h5"))
    frames, noise = given["frames"], [given["noise/0"], given["noise/1"]]
    out |= run_model(model, frames, noise)
    check_half_precision(frames, noise)
    gradients = gradients_of(model, lambda: sum(model.training_terms(frames, noise)[0].values()))
    out |= {f"gradient/{k}": gradient for k, gradient in enumerate(gradients)}
    every = np.ones((2, 2), bool)
    rollout = gradients_of(
        model, lambda: sum(model.training_terms(frames, noise, own=every)[0].values())
    )
    out |= {f"gradient/own_{k}": gradient for k, gradient in enumerate(rollout)}
    loaded = keras.saving.load_model(Path(given_path).with_suffix(".keras"))
    out |= {f"file/{name}": x for name, x in run_file(loaded, given["bytes"]).items()}
    loaded.save(Path(out_path).with_suffix(".keras"))
    out["drawn"] = np.array(int(loaded.seed_generator.state[1]))  # PyTorch changes it in place
    out["kept"] = loaded.generate(given["bytes"][:, :2], 3, mean=True)
    check_refused_frames(loaded, given["bytes"])  # last, as it trains on some backends only
    np.savez(out_path, **{name: keras.ops.convert_to_numpy(x) for name, x in out.items()})


def check_refusal():
    """Check that checkpoints need TensorFlow and say so, and that presets do not."""
    load_pretrained("smmnist")
    rule = f"set KERAS_BACKEND=tensorflow before it is imported. Received: {BACKEND}"
    try:
        load_run(Path(__file__).parent / "old" / "0.1.0" / "run")
    except UserError as error:
        assert rule in str(error)
    else:
        raise AssertionError("not refused")
    try:
        sampling.training_noise  # noqa: B018
    except UserError as error:
        assert rule in str(error)
    else:
        raise AssertionError("not refused")


def run_model(model, frames, noise):
    """Compute terms, predictions, divergences and a rollout."""
    terms, predictions = model.training_terms(frames, noise)
    out = terms | {"predictions": predictions}
    own = np.array([[True, False], [True, True]])
    terms, out["own/predictions"] = model.training_terms(frames, noise, own=own)
    out |= {f"own/{name}": term for name, term in terms.items()}
    out |= {f"latent_kl_{r}": kl for r, kl in model.latent_kl(frames, noise).items()}
    state = model.begin(frames[:, :2])
    for t in range(2):
        state, out[f"frame_{t}"] = model.step(state, [z[:, t] for z in noise])
    _, out["mean"] = model.step(state, None, mean=True)
    return out


def check_half_precision(frames, noise):
    """Check that bfloat16 hardly changes rollouts in training, with all parts of the state."""
    config = replace(MODEL, latent_feedback="own", advection=3)
    models = [build_model(config, policy) for policy in ("float32", "mixed_bfloat16")]
    models[1].set_weights(models[0].get_weights())
    every = np.ones((2, 2), bool)
    expected, found = (
        keras.ops.convert_to_numpy(model.training_terms(frames, noise, own=every)[1])
        for model in models
    )
    np.testing.assert_allclose(found, expected, atol=0.03)


def run_file(model, frames):
    """Compute futures, training steps and an evaluation of a compiled model."""
    context = frames[:, : model.context_frames]
    out = {
        "mean": model.generate(context, 3, mean=True),
        "futures": model.generate(context, 3, [[1, 2]] * len(context)),
        "predicted": model.predict(context, verbose=0),
    }
    rng, own = np.random.default_rng(3), model.draw_noise
    noise = [rng.normal(size=shape).astype(np.float32) for shape in model.noise_shapes(2, 2)]
    # Only the generator differs between backends. With given noise, the steps can be compared.
    model.draw_noise = lambda batch, steps: noise
    for step in range(2):
        logs = model.train_on_batch(frames[:2], return_dict=True)
        out |= {f"step_{step}/{name}": value for name, value in logs.items()}
    out["scale"] = model.likelihood.error.numpy()
    evaluated = model.evaluate(frames, batch_size=2, verbose=0, return_dict=True)
    out |= {f"evaluated/{name}": value for name, value in evaluated.items()}
    model.draw_noise = own
    check_fit(model, frames)
    if BACKEND == "torch":
        check_refused_export(model)
    return out


def check_fit(model, frames):
    """Check that a loader of the backend's own kind trains, with noise of the model's own."""
    before, drawn = float(model.likelihood.error[0]), int(model.seed_generator.state[1])
    history = model.fit(loader(frames), verbose=0, epochs=2).history
    assert np.all(np.isfinite(history["loss"])) and len(history["loss"]) == 2
    assert model.optimizer.iterations == 6
    assert float(model.likelihood.error[0]) != before
    assert int(model.seed_generator.state[1]) == drawn + 4 * len(model.latent_resolutions)


def check_refused_export(model):
    """Check that the one backend that cannot export says so in one line."""
    try:
        model.export("exported")
    except RuntimeError as error:
        assert "`export` needs TensorFlow or JAX" in str(error), error
        return
    raise AssertionError("not refused")


def check_refused_frames(model, frames):
    """Check that frames that do not fit leave the model as it was, at once or after a step."""

    def batches(*given):
        yield from given

    def refused(function, *given, **options):
        try:
            function(*given, verbose=0, **options)
        except ValueError as error:
            assert "2 are the context, so T must be at least 3" in str(error), error
            return
        raise AssertionError("not refused")

    def values():
        variables = [*model.weights, *model.optimizer.variables]
        return [keras.ops.convert_to_numpy(variable) for variable in variables]

    short, before, drawn = frames[:, :2], values(), int(model.seed_generator.state[1])
    for function in (model.fit, model.evaluate):
        refused(function, short)
        refused(function, batches(short, short, short))
    assert all(map(np.array_equal, before, values())) and model.seed_generator.state[1] == drawn
    if BACKEND == "tensorflow":
        return  # there the error comes from a graph
    steps = int(model.optimizer.iterations)
    refused(model.fit, batches(frames, frames, frames, short), steps_per_epoch=4)
    assert int(model.optimizer.iterations) == steps + 3
    before = values()
    refused(model.evaluate, batches(frames, frames, frames, short), steps=4)
    assert all(map(np.array_equal, before, values()))
    assert np.isfinite(model.evaluate(frames, verbose=0)).all()


def loader(frames):
    """Make batches of two videos: a PyTorch DataLoader of tensors, or a tf.data.Dataset."""
    if BACKEND == "torch":
        import torch

        return torch.utils.data.DataLoader(torch.from_numpy(frames), batch_size=2)
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(frames).batch(2)


def gradients_of(model, loss):
    """Compute the gradients of the sum of `loss()` by every trainable variable."""
    if BACKEND == "torch":
        for variable in model.trainable_variables:
            variable.value.grad = None
        loss().sum().backward()
        return [v.value.grad for v in model.trainable_variables]
    if BACKEND == "jax":
        import jax

        def stateless(values):
            with keras.StatelessScope(state_mapping=list(zip(model.trainable_variables, values))):
                return loss().sum()

        return jax.jit(jax.grad(stateless))([v.value for v in model.trainable_variables])
    import tensorflow as tf

    with tf.GradientTape() as tape:
        total = tf.reduce_sum(loss())
    return tape.gradient(total, model.trainable_variables)


if __name__ == "__main__":
    main(*sys.argv[1:])
