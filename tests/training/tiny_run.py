"""Configuration of a run that takes seconds."""

from tfvrnn.config import Config, DataConfig, ModelConfig, TrainConfig

SMALL = Config(
    model=ModelConfig(
        image_size=8, channels=1, width=8, groups=2, latent_resolutions=(1, 4), reconstruction="bce"
    ),
    data=DataConfig(horizon=2, batch_size=4, digits=1),
    train=TrainConfig(
        steps=6, learning_rate=1e-3, log_every=2, validate_every=3, validation_videos=6,
        pictures=2, checkpoint_every=3,
    ),
)  # fmt: skip
