import dataclasses

import pytest


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
