"""Use the package as a user of Keras would, in this folder, on the backend of KERAS_BACKEND.

python keras_user.py
"""

import keras
import numpy as np

import tfvrnn

TINY = tfvrnn.ModelConfig(
    image_size=8, channels=1, width=8, groups=2, latent_resolutions=(1,), reconstruction="laplace"
)

shipped = tfvrnn.VideoPredictor.from_preset("smmnist")
context = np.zeros((1, shipped.context_frames, *shipped.image_shape), np.uint8)
assert shipped.generate(context, 2, seeds=[[1, 2]]).shape == (1, 2, 2, 32, 32, 1)

tfvrnn.build_model(TINY, horizon=2).save_to_preset("tiny")
model = tfvrnn.VideoPredictor.from_preset("tiny")
videos = np.random.default_rng(0).integers(0, 256, (5, 4, 8, 8, 1), np.uint8)
model.compile()
history = model.fit(videos, batch_size=2, epochs=2, verbose=0).history
assert len(history["negative_elbo"]) == 2 and np.isfinite(history["loss"]).all()
model.save("model.keras")
again = keras.saving.load_model("model.keras")
futures = [
    keras.ops.convert_to_numpy(one.generate(videos[:, :2], 3, seeds=[[1, 2]] * 5))
    for one in (model, again)
]
assert futures[0].shape == (5, 2, 3, 8, 8, 1)
np.testing.assert_array_equal(*futures)
fresh = keras.ops.convert_to_numpy(
    tfvrnn.VideoPredictor.from_preset("tiny").generate(videos[:, :2], 3, seeds=[[1, 2]] * 5)
)
assert np.abs(fresh - futures[0]).max() > 0  # the training changed something
print("equal frames on", keras.backend.backend())
