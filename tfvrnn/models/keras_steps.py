"""The step functions of `fit` and `evaluate`, where those of Keras need a mend."""

from collections.abc import Callable
from typing import Any

import keras


def step_function(model: keras.Model, trainer: Any, kind: str) -> Callable:
    """Make a step function of Keras, mended for the backend.

    Args:
        model: the model that fits.
        trainer: `super()` of the model, with the methods of Keras.
        kind: 'train' or 'test'.
    """

    def make():
        known = getattr(model, f"{kind}_function")
        getattr(trainer, f"make_{kind}_function")(force=True)
        made = getattr(model, f"{kind}_function")
        setattr(model, f"{kind}_function", known)
        return made

    if keras.backend.backend() == "tensorflow":
        return _for_each_form(make)
    if keras.backend.backend() == "jax":
        variables = [*model.trainable_variables, *model.non_trainable_variables]
        variables += model.optimizer.variables if kind == "train" else []
        return _keeping(model, make(), [*variables, *model.metrics_variables])
    return make()


def _for_each_form(make: Callable[[], Callable]) -> Callable:
    """Keep one function for each form of the frames, apart from the number of videos.

    Keras' TensorFlow trainer traces once for videos of any length when it has seen two lengths. A
    model unrolls over the frames, so it needs their number.
    """
    made = {}

    def step(batches):
        if hasattr(batches, "element_spec"):
            specs = batches.element_spec
        else:  # of `train_on_batch` and `test_on_batch`
            specs = batches = list(batches)
        frames = keras.tree.flatten(specs)[0]
        form = str((*getattr(frames, "shape", ())[1:], getattr(frames, "dtype", None)))
        if form not in made:
            made[form] = make()
        return made[form](batches)

    return step


def _keeping(model: Any, function: Callable, variables: list) -> Callable:
    """Wrap a step of Keras on JAX so that the variables keep their values if it fails.

    Keras takes the values out of the variables while it trains. If a step fails, for example on a
    wrong batch or an error in the data, Keras leaves the model without values.
    """

    def step(state, batches):
        try:
            return function(state, batches)
        except BaseException:
            values = keras.tree.flatten(state)
            if not any(value.is_deleted() for value in values):  # it failed while it computed
                for variable, value in zip(variables, values, strict=True):
                    variable.assign(value)
                model._jax_state = None  # of an earlier step; Keras would come back to it
            raise

    return step
