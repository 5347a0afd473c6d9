"""Write training videos into one file, for accelerator.py --train on a machine without TensorFlow.

    python benchmarks/clips.py --out=clips.npz [--videos=2000] [--flagfile=… --data.horizon=28 …]

For a prepared dataset, it writes frames, one window per video. Give --data.horizon the length of
the videos, so that training cuts its own windows from them. For moving digits, it writes the digits
and their paths, a hundredth of the size. The device paints the same videos from them.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import common
import numpy as np

from tfvrnn import config_flags, files
from tfvrnn.cli import runtime
from tfvrnn.config import Config, require


def main(arguments):
    out, arguments = common.take("out", arguments)
    videos, arguments = common.take("videos", arguments)
    require(bool(out), "`--out` must name a file.", out)
    config = config_flags.replace(Config(), config_flags.parse_changes(arguments, Config))
    make = plans if config.data.dataset == "smmnist" else frames
    arrays = make(config, int(common.number("videos", videos, 2000)))
    files.write_arrays(Path(out), arrays, compressed=True)
    print(f"{out}: " + ", ".join(f"{name} {array.shape}" for name, array in arrays.items()))


def frames(config: Config, count: int) -> dict[str, np.ndarray]:
    """Read the first `count` training videos: uint8 `[count, T, H, W, C]`."""
    from tfvrnn.data import augment, first_videos

    require(not augment.is_wanted(config.data), "`data` must not be augmented here.", "augmented")
    videos = first_videos(config.data, config.model, "train", count)
    different = len({video.tobytes() for video in videos})  # the split begins anew at its end
    rule = f"`videos` must be at most {different}, as the training split has no more."
    require(different == count, rule, count)
    return {"frames": videos}


def plans(config: Config, count: int) -> dict[str, np.ndarray]:
    """Draw the plans of the first `count` training videos of moving digits."""
    import tensorflow as tf

    from tfvrnn.data import smmnist

    digits = smmnist.load_digits("train", config.data.digit_source)
    side, length = config.model.image_size, config.frames

    def plan(number):
        key = smmnist.video_key(config.data.seed, "train", number)
        return smmnist.plan_video(key, len(digits), length, side, config.data.digits)

    numbers = tf.data.Dataset.range(count).map(plan, num_parallel_calls=2)
    chosen, positions = next(iter(numbers.batch(count)))
    images = smmnist.resize_digits(tf.constant(digits), side // 2)
    return {
        "images": images.numpy(),
        "chosen": chosen.numpy().astype(np.uint16),
        "positions": positions.numpy().astype(np.uint8),
    }


if __name__ == "__main__":
    runtime.run(main, __doc__)
