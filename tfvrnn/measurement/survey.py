"""Survey of the videos: length, size, grey or colour, content."""

import hashlib
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from tfvrnn import media
from tfvrnn.config import MeasureConfig
from tfvrnn.measurement.parts import Arrays, Parts
from tfvrnn.measurement.sides import Side, Video

GREY_WITHIN = 8  # levels by which the channels of a grey video may differ, as codecs round


def survey(side: Side, settings: MeasureConfig, parts: Parts) -> Arrays:
    """Read every video once, as far as clips reach.

    Returns:
        Arrays with one value per video: frames, their number, at most one more than needed;
        height; width; grey; rate, frames per second or NaN; digest, sha256 of the frames; fault,
        why it cannot be read, or ''.
    """
    needed = _needed(side, settings)

    def work(numbers: Sequence[int]) -> Iterator[Arrays]:
        for number in numbers:
            facts = _facts(side.videos[number], needed)
            yield {name: np.array([value]) for name, value in facts.items()}

    keys = [video.identity() for video in side.videos]
    return parts.compute({"survey": needed}, keys, work, f"reading {side.label}")


def _needed(side: Side, settings: MeasureConfig) -> int | None:
    """Return the number of frames to read per video, or None for all."""
    if settings.clips != "first" or not settings.frames:
        return None
    # One more frame tells whether something is cut off.
    return settings.start_of(side.label) + (settings.frames - 1) * settings.stride + 2


def _facts(video: Video, needed: int | None) -> dict:
    count, shape, grey, fault = 0, (0, 0), True, ""
    digest, rate = hashlib.sha256(), np.nan
    try:
        for frame in itertools.islice(video.frames(), needed):
            if grey and frame.shape[-1] > 1:
                grey = int(np.ptp(frame.astype(np.int16), axis=-1).max()) <= GREY_WITHIN
            digest.update(f"{frame.shape}".encode() + np.ascontiguousarray(frame).tobytes())
            count, shape = count + 1, frame.shape[:2]
        rate = video.rate()
    except media.VideoError as error:
        fault = str(error)
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
    return {
        "frames": count,
        "height": shape[0],
        "width": shape[1],
        "grey": grey,
        "rate": float(rate),
        "digest": digest.hexdigest(),
        "fault": fault,
    }
