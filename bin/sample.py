"""Draw futures of test videos, as an animated GIF: a row a context, truth | mean | samples.

    python bin/sample.py --run_dir=RUN [--out=samples.gif --contexts=8 --horizon=20]

Without --out, of a run: into its folder samples/.
"""

import dataclasses
import sys
from pathlib import Path

# Run from a checkout, the checkout's own package is the one that is meant.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfvrnn import config_flags, program
from tfvrnn.program_config import SampleConfig
from tfvrnn.run_folder import RunFolder


def main(arguments: list[str]) -> None:
    wanted = SampleConfig(**config_flags.parse_changes(arguments, SampleConfig))
    folder = RunFolder(wanted.run_dir)
    folder.read_config()  # complains at once where there is no run
    if not wanted.out:
        folder.samples.mkdir(exist_ok=True)
    out = program.output(wanted.out or folder.samples / "samples.gif")

    # TensorFlow takes seconds to import: only after every option was found in order.
    import numpy as np

    from tfvrnn import media
    from tfvrnn.data import first_videos
    from tfvrnn.run_folder import load_run
    from tfvrnn.sampling import sample_videos

    program.divide_cores()
    config, model, step = load_run(wanted.run_dir)
    horizon = wanted.horizon or config.data.horizon
    data = dataclasses.replace(config.data, horizon=horizon)
    truth = first_videos(data, config.model, "test", wanted.contexts)
    context = truth[:, : model.context_frames]
    seeds = wanted.seed + np.arange(wanted.contexts * wanted.samples)
    seeds = seeds.reshape(wanted.contexts, -1)
    samples = sample_videos(model, context, horizon, seeds, temperature=wanted.temperature).numpy()
    mean = sample_videos(model, context, horizon, mean=True).numpy()
    rows = []
    for number in range(wanted.contexts):
        futures = [mean[number], *samples[number]]
        joined = [np.concatenate([context[number], media.to_uint8(f)]) for f in futures]
        rows.append([truth[number], *joined])
    out.write_bytes(media.to_gif(media.enlarge(media.grid(rows), wanted.scale)))
    columns = ", ".join(["truth", "mean", *[f"sample {k + 1}" for k in range(wanted.samples)]])
    print(f"{out}: {wanted.contexts} test videos after step {step}; columns: {columns}")


if __name__ == "__main__":
    program.run(main, __doc__, SampleConfig)
