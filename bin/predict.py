"""Continue a video of one's own: its possible futures, side by side.

    python bin/predict.py --run_dir=RUN --video=in.mp4 [--out=futures.mp4 --samples=4]
    python bin/predict.py --export=EXPORT_BASE --video=in.gif
    python bin/predict.py --server=localhost:8500 --video=folder_of_images

The frames given have a green border, the frames predicted a red one.
"""

import sys
from pathlib import Path

# Run from a checkout, the checkout's own package is the one that is meant.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfvrnn import config_flags, media, program
from tfvrnn.config import UserError
from tfvrnn.program_config import PredictConfig
from tfvrnn.run_folder import RunFolder


def main(arguments: list[str]) -> None:
    wanted = PredictConfig(**config_flags.parse_changes(arguments, PredictConfig))
    out = program.output(wanted.out)
    if wanted.run_dir:
        RunFolder(wanted.run_dir).read_config()  # complains at once where there is no run
    try:
        next(media.frames_of(wanted.video))
        predict(wanted, out)
    except media.VideoError as error:
        raise UserError(str(error)) from None


def predict(wanted: PredictConfig, out: Path) -> None:
    # TensorFlow takes seconds to import: only after every option was found in order.
    import numpy as np

    from tfvrnn.serving.sources import open_source

    program.divide_cores()
    source = open_source(wanted)
    frames, *shape = source.context_shape
    context = media.read_clip(wanted.video, frames, wanted.start, wanted.stride)
    context = media.fit(context, shape)
    seeds = np.arange(wanted.seed, wanted.seed + wanted.samples, dtype=np.int32)
    futures = source.sample(np.repeat(context[None], len(seeds), axis=0), seeds)
    picture = media.side_by_side(context, futures, wanted.scale)
    media.write_video(out, picture, wanted.frame_rate)
    print(f"{out}: {frames} frames given, {source.horizon} predicted, {len(seeds)} futures")


if __name__ == "__main__":
    program.run(main, __doc__, PredictConfig)
