"""The measures of one batch of videos."""

import numpy as np
import tensorflow as tf

from tfvrnn import media, metrics
from tfvrnn.config import Config, UserError
from tfvrnn.evaluation.latents import futures_with_given_latents
from tfvrnn.metrics import LPIPS, FeatureNetwork
from tfvrnn.metrics.frame import PSNR_OF_EQUAL_FRAMES
from tfvrnn.models import VideoPredictor
from tfvrnn.sampling import sample_videos, training_noise
from tfvrnn.tensor_ops import to_float

ROWS_AT_ONCE = 32
SHOWN_SAMPLES = 3
PROBED = 16  # videos whose latents are exchanged, the first of the split
# Noise of the ELBO's latents, from seeds far from those of training steps and of validation.
FIRST_STEP = 2**61


class Measures:
    """Measures batches of videos. Each call depends only on the batch and its place.

    Shapes are the same on every call, so that nothing is traced twice. A smaller last batch and the
    last samples are padded, and the padding is cut off again.

    Args:
        model: with its weights.
        config: of the run, with the settings of the evaluation.
        lpips, network: None disables the measure.
    """

    def __init__(
        self,
        model: VideoPredictor,
        config: Config,
        lpips: LPIPS | None = None,
        network: FeatureNetwork | None = None,
    ):
        self.model, self.config, self.settings = model, config, config.eval
        self.lpips, self.network = lpips, network
        self.horizon = config.eval.horizon or config.data.horizon
        self.random = bool(model.noise_shapes(1, 1))
        # A deterministic model has one future.
        self.samples = config.eval.samples if self.random else 1
        self.repeats = min(config.eval.fvd_repeats, self.samples)
        self._frame_measures = tf.function(self._compute_frame_measures, autograph=False)
        self._given_futures = tf.function(self._compute_given_futures, autograph=False)
        self._terms = tf.function(self._compute_terms, autograph=False)

    def __call__(self, videos: np.ndarray, first: int) -> dict[str, np.ndarray]:
        """Measure uint8 videos `[B, T, H, W, C]`. The first one is number `first` of the split.

        Returns:
            The measures by name.

            - psnr, ssim, lpips: `[B, S, horizon]`.
            - spread, variance, squared_error, ranks: from `Ensemble.measured`.
            - given_psnr, ...: `[probed, 4, horizon]`, of the futures with each of `GIVEN`.
            - real, generated: features, `[B, D]` and `[B, repeats, D]`.
            - reconstruction, kl_<r>: `[B]`, nats.
            - channels_<r>: `[B, Z]`, nats per frame.
            - shown: `[examples, 2 + 3, T, H, W, C]`: truth, the best sample by SSIM, the first
              samples.

        Raises:
            UserError: futures that are not finite.
        """
        size = len(videos)
        padded = np.concatenate([videos, np.repeat(videos[-1:], self._missing(size), axis=0)])
        found = self._of_futures(padded, size, first) | self._of_latents(videos, first)
        terms, channels = self._terms(tf.constant(padded), tf.constant(first, tf.int64))
        found |= {name: value.numpy()[:size] for name, value in terms.items()}
        found |= {f"channels_{r}": value.numpy()[:size] for r, value in channels.items()}
        if self.network:
            clips = self._clip(videos)
            cache = self.settings.cache_dir
            found["real"] = metrics.cached_features(self.network, clips, cache)
        return found

    def _missing(self, size):
        return self.settings.batch_size - size

    def _of_futures(self, videos, size, first):
        context, truth = np.split(videos, [self.model.context_frames], axis=1)
        shown = max(0, min(size, self.settings.examples - first))
        gathered, generated, pictures = [], [], Pictures(videos[:shown], context.shape[1])
        ensemble = metrics.Ensemble(truth[:size])
        for futures in self._futures(context, first):
            values = self._frame_measures(tf.constant(futures), tf.constant(truth))
            gathered.append({name: value.numpy()[:size] for name, value in values.items()})
            pictures.add(futures[:shown], gathered[-1]["ssim"][:shown])
            ensemble.add(futures[:size])
            wanted = futures[:size, : max(0, self.repeats - sum(map(_second, generated)))]
            if self.network and wanted.shape[1]:
                generated.append(self._features(self.network, videos[:size], wanted))
        measured = {
            name: np.concatenate([values[name] for values in gathered], axis=1)
            for name in gathered[0]
        }
        measured |= ensemble.measured()
        if generated:
            measured["generated"] = np.concatenate(generated, axis=1)
        return measured | ({"shown": pictures.array()} if shown else {})

    def _of_latents(self, videos, first):
        """Measure futures with given latents, of the first videos of a split."""
        probed = min(len(videos), PROBED - first)
        if not self.random or probed < 2:  # one video has no other to exchange latents with
            return {}
        videos = videos[:probed]
        futures = _pixels(self._given_futures(tf.constant(videos), tf.constant(first, tf.int64)))
        truth = videos[:, self.model.context_frames :]
        values = self._frame_measures(tf.constant(futures), tf.constant(truth))
        return {f"given_{name}": value.numpy() for name, value in values.items()}

    def _compute_given_futures(self, videos, number):
        frames = to_float(videos)
        return futures_with_given_latents(self.model, frames, self._noise(frames, number))

    def _futures(self, context, first):
        """Yield all samples, s at a time, as uint8 `[B, s, horizon, H, W, C]`."""
        if not self.random:
            means = sample_videos(self.model, context, self.horizon, mean=True)
            yield _pixels(means)[:, None]
            return
        rows, samples = len(context), self.samples
        at_once = min(samples, max(1, ROWS_AT_ONCE // rows))
        numbers = first + np.arange(rows)
        for begin in range(0, samples, at_once):
            columns = begin + np.arange(at_once)
            # Seeds past the last sample and the last video are unused. Modulo keeps them small.
            seeds = self.settings.seed + numbers[:, None] * samples + columns
            futures = sample_videos(
                self.model,
                context,
                self.horizon,
                seeds % 2**31,
                temperature=self.settings.temperature,
            )
            yield _pixels(futures)[:, : samples - begin]

    def _compute_frame_measures(self, futures, truth):
        """Compute psnr, ssim, lpips `[B, s, horizon]` of uint8 futures `[B, s, horizon, ...]`."""
        futures, truth = to_float(futures), to_float(truth)
        truth = tf.broadcast_to(truth[:, None], tf.shape(futures))
        truth = tf.ensure_shape(truth, futures.shape)
        psnr = tf.minimum(metrics.psnr(futures, truth), PSNR_OF_EQUAL_FRAMES)
        found = {"psnr": psnr, "ssim": metrics.ssim(futures, truth, self.settings.ssim)}
        if self.lpips:
            found["lpips"] = self.lpips(futures, truth)
        return found

    def _compute_terms(self, videos, number):
        """Compute (terms of the negative ELBO, nats per latent channel) with the posterior."""
        frames = to_float(videos)
        noise = self._noise(frames, number)
        terms, _ = self.model.training_terms(frames, noise)
        return terms, self.model.channel_nats(frames, noise) if self.random else {}

    def _noise(self, frames, number):
        """Draw noise of the posterior's latents. `number` is the first video's."""
        places, step = tf.range(tf.shape(frames)[0]), FIRST_STEP + number
        return training_noise(self.model, places, self.horizon, self.settings.seed, step)

    def _features(self, network: FeatureNetwork, videos, futures):
        context = np.repeat(videos[:, None, : self.model.context_frames], futures.shape[1], axis=1)
        clips = self._clip(np.concatenate([context, futures], axis=2), axis=2)
        flat = network(clips.reshape(-1, *clips.shape[2:]))
        return flat.reshape(*clips.shape[:2], -1)

    def _clip(self, videos, axis=1):
        """Return the clips for FVD: the videos, or only their predicted frames."""
        if self.settings.fvd_context:
            return videos
        return np.split(videos, [self.model.context_frames], axis)[1]


class Pictures:
    """Truth, best and first samples of the videos that a report shows."""

    def __init__(self, videos: np.ndarray, context_frames: int):
        self.videos, self.context_frames = videos, context_frames
        self.best_ssim = np.full(len(videos), -np.inf)
        self.best = videos[:, context_frames:].copy()
        self.first = []

    def add(self, futures: np.ndarray, ssim: np.ndarray) -> None:
        """Add uint8 futures `[B, s, horizon, H, W, C]` with their SSIM `[B, s, horizon]`."""
        for video, (samples, score) in enumerate(zip(futures, ssim.mean(axis=-1))):
            sample = score.argmax()
            if score[sample] > self.best_ssim[video]:
                self.best_ssim[video], self.best[video] = score[sample], samples[sample]
        wanted = SHOWN_SAMPLES - len(self.first)
        self.first += list(futures[:, :wanted].swapaxes(0, 1))

    def array(self) -> np.ndarray:
        context, truth = np.split(self.videos, [self.context_frames], axis=1)
        futures = [truth, self.best, *self.first[:SHOWN_SAMPLES]]
        return np.stack([np.concatenate([context, future], axis=1) for future in futures], axis=1)


def _pixels(frames) -> np.ndarray:
    """Convert frames to uint8. Refuse frames that are not finite: NaN would be scored as black."""
    frames = frames.numpy()
    if not np.isfinite(frames).all():
        raise UserError("the model's frames are not finite: there is nothing to measure")
    return media.to_uint8(frames)


def _second(array) -> int:
    return array.shape[1]
