import numpy as np
import pytest

from tfvrnn.config import Config, ModelConfig
from tfvrnn.models import build_model
from tfvrnn.run_folder import RunFolder, load_run
from tfvrnn.training.checkpoint import Checkpoints
from tfvrnn.training.optimizer import MovingAverages, make_optimizer

SMALL = {"image_size": 16, "channels": 1, "width": 8, "groups": 2}


@pytest.mark.parametrize("averaged", [False, True], ids=["last", "averages"])
@pytest.mark.parametrize("family", ["vrnn", "svg", "prednet"])
def test_every_weight_of_a_run_is_loaded(family, averaged, tmp_path, rng):
    size = {"image_size": 64} if family == "svg" else {}
    config = Config(model=ModelConfig(family=family, **SMALL | size))
    model = build_model(config.model)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    optimizer = make_optimizer(config.train)
    optimizer.build(model.trainable_variables)
    averages = MovingAverages(model, 0.9) if averaged else None
    folder = RunFolder(tmp_path / "run")
    Checkpoints(folder, model, optimizer, averages).save()
    folder.write_config(config)
    expected = [weight.numpy() for weight in model.weights]
    if averaged:
        for average in averages.averages:
            average.assign(average + 1.0)
        Checkpoints(folder, model, optimizer, averages).save()
        trained = {weight.path for weight in model.trainable_weights}
        expected = [
            value + (weight.path in trained) for value, weight in zip(expected, model.weights)
        ]
    _, loaded, _ = load_run(folder.path)
    for weight, value in zip(loaded.weights, expected):
        np.testing.assert_array_equal(weight.numpy(), value.astype(np.float32), weight.path)
