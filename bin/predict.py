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
    if not Path(wanted.out).parent.is_dir():
        raise UserError(f"no folder {Path(wanted.out).parent} to write {wanted.out} into")
    if wanted.run_dir:
        RunFolder(wanted.run_dir).read_config()  # complains at once where there is no run
    try:
        video = media.read_video(wanted.video)[:: wanted.stride]
    except media.VideoError as error:
        raise UserError(str(error)) from None

    # TensorFlow takes seconds to import: only after every option was found in order.
    import numpy as np

    from tfvrnn.serving.sources import open_source

    source = open_source(wanted)
    frames, *shape = source.context_shape
    start = len(video) - frames if wanted.start is None else wanted.start
    if start < 0 or start + frames > len(video):
        raise UserError(
            f"{wanted.video} has {len(video)} frames at this stride; "
            f"the model is given {frames}, from frame {max(start, 0)}"
        )
    context = media.fit(video[start : start + frames], shape)
    seeds = np.arange(wanted.seed, wanted.seed + wanted.samples, dtype=np.int32)
    futures = source.sample(np.repeat(context[None], len(seeds), axis=0), seeds)
    picture = media.side_by_side(context, futures, wanted.scale)
    media.write_video(wanted.out, picture, wanted.frame_rate)
    print(f"{wanted.out}: {frames} frames given, {source.horizon} predicted, {len(seeds)} futures")


if __name__ == "__main__":
    program.run(main, __doc__, PredictConfig)
