"""Draw futures of test videos as an animated GIF: one row per context, truth | mean | samples.

True frames have a green border, predicted ones a red one.

    tfvrnn sample --pretrained=smmnist
    tfvrnn sample --run_dir=RUN [--out=samples.gif --contexts=8 --horizon=20]

Without --out, the GIF of a run goes into its folder samples/.
"""

from dataclasses import dataclass
from pathlib import Path

from tfvrnn import config_flags
from tfvrnn.cli import runtime
from tfvrnn.cli.options import OfOneModel, check_seeds, pretrained_option, run_dir_option
from tfvrnn.config import (
    TEMPERATURE,
    UserError,
    check_fields,
    option,
    require,
    require_at_least,
)
from tfvrnn.runs import RunFolder


@dataclass(frozen=True)
class Options(OfOneModel):
    """Options of `tfvrnn sample`."""

    run_dir: str = run_dir_option()
    pretrained: str = pretrained_option()
    out: str = option(
        "",
        "Animated GIF to write. Default: samples/samples.gif in the run. With --pretrained: "
        "samples.gif in the current folder.",
    )
    contexts: int = option(4, "Number of test videos to continue, one per row.")
    samples: int = option(3, "Futures to draw per context.")
    horizon: int | None = option(None, "Frames to predict; none: as in training.")
    seed: int = option(0, "Seed of the futures.")
    temperature: float = option(1.0, TEMPERATURE)
    scale: int = option(2, "Enlargement factor.")

    def __post_init__(self):
        check_fields(self)
        self.check_model()
        require_at_least(self, 1, "contexts", "samples", "horizon", "scale")
        require_at_least(self, 0, "seed", "temperature")
        gif = not self.out or Path(self.out).suffix == ".gif"
        require(gif, "`out` must end in .gif.", repr(self.out))
        check_seeds(self.seed, self.contexts * self.samples)


def main(arguments: list[str]) -> None:
    wanted = Options(**config_flags.parse_changes(arguments, Options))
    folder = RunFolder(wanted.model_dir)
    folder.read_config()  # fails at once if there is no run
    if wanted.out:
        out = runtime.output(wanted.out)
    elif wanted.pretrained:
        out = runtime.output("samples.gif")
    else:
        folder.samples.mkdir(exist_ok=True)
        out = runtime.output(folder.samples / "samples.gif")
    draw(wanted, out)


def draw(wanted: Options, out: Path) -> None:
    # TensorFlow takes seconds to import, so all options are checked first.
    import numpy as np

    from tfvrnn import backend, media
    from tfvrnn.runs import example_clips, load_run
    from tfvrnn.sampling import sample_videos

    backend.divide_cores()
    config, model, step = load_run(wanted.model_dir)
    horizon = wanted.horizon or config.data.horizon
    truth = example_clips(wanted.model_dir, config, wanted.contexts, horizon)
    context = truth[:, : model.context_frames]
    cell = media.bordered(media.enlarge(truth[0, :1], wanted.scale), 1)
    sheet = media.grid([[cell] * (wanted.samples + 2)] * wanted.contexts)
    try:
        media.check_size(out, *sheet.shape[1:3])
    except media.VideoError as error:
        raise UserError(str(error)) from None
    seeds = wanted.seed + np.arange(wanted.contexts * wanted.samples)
    seeds = seeds.reshape(wanted.contexts, -1)
    runtime.announce_futures(seeds.size, horizon)
    samples = sample_videos(model, context, horizon, seeds, temperature=wanted.temperature).numpy()
    mean = sample_videos(model, context, horizon, mean=True).numpy()
    rows = []
    for number in range(wanted.contexts):
        futures = media.to_uint8(np.stack([mean[number], *samples[number]]))
        joined = [np.concatenate([context[number], future]) for future in futures]
        videos = [media.enlarge(video, wanted.scale) for video in (truth[number], *joined)]
        given = [len(truth[number]), *[model.context_frames] * len(joined)]
        rows.append([media.bordered(*both) for both in zip(videos, given)])
    out.write_bytes(media.to_gif(media.grid(rows)))
    columns = ", ".join(["truth", "mean", *[f"sample {k + 1}" for k in range(wanted.samples)]])
    print(f"{out}: {wanted.contexts} test videos after step {step}; columns: {columns}")
    print(f"{model.context_frames} frames are given, {horizon} predicted: those with red borders")
