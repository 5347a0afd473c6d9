"""Run the core on the backend that KERAS_BACKEND names: weights and inputs from a file to a file.

python backend_program.py GIVEN.npz OUT.npz

Beside OUT.npz, the model's weights as Keras saves them: OUT.weights.h5.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras
import numpy as np
from conformance import ROWS, flat, make, make_inputs

from tfvrnn.config import ModelConfig, UserError
from tfvrnn.models import build_model
from tfvrnn.runs import load_pretrained

MODEL = ModelConfig(image_size=16, channels=1, width=8, groups=2)


def main(given_path, out_path):
    if keras.backend.backend() != "tensorflow":
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
    gradients = gradients_of(model, lambda: sum(model.training_terms(frames, noise)[0].values()))
    out |= {f"gradient/{k}": gradient for k, gradient in enumerate(gradients)}
    np.savez(out_path, **{name: keras.ops.convert_to_numpy(x) for name, x in out.items()})


def check_refusal():
    """Check that functions that need TensorFlow say so."""
    try:
        load_pretrained("smmnist")
    except UserError as error:
        assert "set KERAS_BACKEND=tensorflow before it is imported. Received: jax" in str(error)
    else:
        raise AssertionError("not refused")


def run_model(model, frames, noise):
    """Terms, predictions, divergences and a rollout."""
    terms, predictions = model.training_terms(frames, noise)
    out = terms | {"predictions": predictions}
    out |= {f"latent_kl_{r}": kl for r, kl in model.latent_kl(frames, noise).items()}
    state = model.begin(frames[:, :2])
    for t in range(2):
        state, out[f"frame_{t}"] = model.step(state, [z[:, t] for z in noise])
    _, out["mean"] = model.step(state, None, mean=True)
    return out


def gradients_of(model, loss):
    """Gradients of the sum of `loss()` by every trainable variable."""
    if keras.backend.backend() == "jax":
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
