"""The studies of compare.py: which models are trained on what, for how long.

All are of models that two CPU cores can train.

quickstart: every family that takes 32x32, with three seeds, and with one seed the flagfile's own
    model and the weights in the package. PredNet has a third of its channels and Adam at 1e-3.
learning_pusht, learning_sim_push: change one training option at a time, in colour, on PushT and on
    sim_push in its fixed scene. Both must be prepared. One seed.
learning_quickstart: changes some of the same options of the quickstart.
paper_pusht, paper_smmnist64: the systems that the paper compares, trained for equal time on PushT
    and on two moving digits. The hierarchy is the paper's. vrnn_literal follows its equations where
    the release does not. "scheduled" is the design of the bundled models. "sequential" trains it
    on its own predictions one frame after another.
shipped_pusht, shipped_sim_push, shipped_smmnist64, shipped_smmnist: the weights in the package
    against copying the last frame.
"""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
AT_64 = [
    "--model.image_size=64",
    "--data.batch_size=4",
    "--train.schedule=cosine",
    "--train.average_decay=0.99",
    "--train.log_every=20",
    "--train.validation_videos=32",
]
MUON = ["--train.optimizer=muon", "--train.adam_beta_2=0.98", "--train.clip_norm=1000"]
COPY_LAST = ["--model.family=copy_last", "--model.reconstruction=bce"]  # the VRNNs' unit
PREDNET = [
    "--model.family=prednet",
    "--model.prednet_stacks=16,32,64",
    "--train.optimizer=adam",
    "--train.learning_rate=1e-3",
]
SVG_LP = ["--model.family=svg", "--train.learning_rate=2e-3", "--train.beta=1e-4"]
FLAT = "--model.latent_resolutions=1"
PRETRAINED = "pretrained"  # not trained, but copied from the package


QUICKSTART = [  # with the paper's decoder, which other families ignore
    f"--flagfile={ROOT / 'configs' / 'quickstart.flags'}",
    "--model.dense_decoder=false",
    "--model.decoder_skips=false",
    "--model.latent_channels=none",
    "--train.scheduled_sampling=0",
]
COLOUR = [  # the base that the factors of learning are changed from
    *AT_64,
    *MUON,
    "--model.channels=3",
    "--model.width=8",
    "--model.groups=2",
    "--model.context_frames=2",
    "--model.latent_resolutions=1,8,32",
    "--model.reconstruction=gaussian",
    "--model.forget_bias=1",
    "--model.initial_variance=0.05",
    "--data.horizon=10",
    "--train.learning_rate=3e-3",
    "--train.warmup_steps=20",
    "--train.clip_norm=0",  # a calibrated loss has no size that a bound could be set for
]
# Every resolution of the decoder sees the last frame and all latents, which are few and coarse.
DENSE = [
    "--model.decoder_skips",
    "--model.dense_decoder",
    "--model.latent_resolutions=1,8",
    "--model.latent_channels=8,8",
]
SCHEDULED = [*DENSE, "--train.scheduled_sampling=0.5"]
FACTORS = {
    "copy_last": ["--model.family=copy_last"],
    "base": [],
    "bce": ["--model.reconstruction=bce"],
    "l1": ["--model.reconstruction=l1"],
    "laplace": ["--model.reconstruction=laplace"],
    "forget_0": ["--model.forget_bias=0"],
    "loud": ["--model.initial_variance=0.6931471805599453"],
    "coarse": ["--model.latent_resolutions=1,8"],
    "own": ["--model.latent_feedback=own"],
    "adam": ["--train.optimizer=adam", "--train.adam_beta_2=0.999"],
    "beta_ramp": ["--train.beta_warmup_steps=500"],
    "free_nats": ["--train.free_nats=1"],
    "advection_5": ["--model.advection=5"],
    "skips_advection_5": ["--model.decoder_skips", "--model.advection=5"],
    "skips_advection_5_coarse": [
        "--model.decoder_skips",
        "--model.advection=5",
        "--model.latent_resolutions=1,8",
    ],
    "scheduled": [*SCHEDULED, "--model.advection=5"],
}
DIGITS = [
    *COLOUR,
    "--data.dataset=smmnist",
    "--data.digits=2",
    "--model.channels=1",
    "--model.context_frames=5",
    "--model.reconstruction=bce",
    "--model.initial_variance=0.6931471805599453",
    "--train.beta_warmup_steps=200",
]
# Other families train without the VRNN's options.
ADAM = ["--train.optimizer=adam", "--train.adam_beta_2=0.999", "--train.beta_warmup_steps=0"]
PHASE_2 = ["--model.prednet_extrapolate", "--train.learning_rate=1e-4"]
SECOND_PHASES = {"prednet_2": "prednet"}  # {run: the run whose weights it starts from}


@dataclass(frozen=True)
class Study:
    """The runs of a comparison.

    options: options of all runs.
    runs: {name: further options}.
    steps: steps of every model that learns; 0 if they train for `minutes`.
    horizon: predicted frames in the test.
    seeds: number of training seeds.
    once: runs of the first seed only.
    videos, samples: test videos, and futures per video.
    preset: model of the package that the run `pretrained` copies.
    minutes: time of training of every model that learns. A second phase takes a third of it.
    """

    options: list[str]
    runs: dict[str, list[str]]
    steps: int
    horizon: int
    seeds: int
    videos: int = 64
    samples: int = 10
    preset: str = "smmnist"
    minutes: float = 0.0
    once: tuple[str, ...] = ()

    def runs_of(self, seed: int) -> list[str]:
        return [name for name in self.runs if seed == 0 or name not in self.once]


def of_the_paper(horizon: int, hierarchy: list[str], advection: int) -> Study:
    """Make the study of the paper's systems at equal time, from the options of its hierarchy."""
    scheduled = [*SCHEDULED, f"--model.advection={advection}"]
    runs = {
        "copy_last": ["--model.family=copy_last"],
        "prednet": [*PREDNET, *ADAM],
        "prednet_2": [*PREDNET, *ADAM, *PHASE_2],
        "svg_lp": [*SVG_LP, *ADAM],
        "vrnn_flat": [FLAT, "--model.latent_channels=10"],
        "vrnn": [],
        "vrnn_literal": ["--model.latent_feedback=own"],
        "scheduled": scheduled,
        "sequential": [*scheduled, "--train.scheduled_mode=sequential"],
    }
    return Study(hierarchy, runs, 0, horizon, seeds=1, samples=5, minutes=10)


def shipped(preset: str, horizon: int, options: list[str], copy_last: list[str]) -> Study:
    """Make the study of a model in the package against copying, which has nothing to learn."""
    runs = {"copy_last": copy_last, PRETRAINED: []}
    return Study(options, runs, 1, horizon, seeds=1, videos=256, samples=1, preset=preset)


STUDIES = {
    "learning_pusht": Study(
        [*COLOUR, "--data.dataset=pusht"], FACTORS, steps=1500, horizon=28, seeds=1
    ),
    "learning_sim_push": Study(
        [*COLOUR, "--data.dataset=sim_push_fixed"], FACTORS, steps=1500, horizon=28, seeds=1
    ),
    "learning_quickstart": Study(
        QUICKSTART,
        {
            "base": [],
            "forget_1": ["--model.forget_bias=1"],
            "quiet": ["--model.initial_variance=0.05"],
            "forget_1_quiet": ["--model.forget_bias=1", "--model.initial_variance=0.05"],
            "gaussian": ["--model.reconstruction=gaussian"],
            "laplace": ["--model.reconstruction=laplace"],
            "own": ["--model.latent_feedback=own"],
            "scheduled": SCHEDULED,
            "scheduled_advection_5": [*SCHEDULED, "--model.advection=5"],
        },
        steps=3000,
        horizon=12,
        seeds=1,
    ),
    "paper_pusht": of_the_paper(28, [*COLOUR, "--data.dataset=pusht"], advection=5),
    "paper_smmnist64": of_the_paper(25, DIGITS, advection=0),
    "shipped_pusht": shipped("pusht", 28, [*COLOUR, "--data.dataset=pusht"], FACTORS["copy_last"]),
    "shipped_sim_push": shipped(
        "sim_push", 28, [*COLOUR, "--data.dataset=sim_push_fixed"], FACTORS["copy_last"]
    ),
    "shipped_smmnist64": shipped("smmnist64", 25, DIGITS, COPY_LAST),
    "shipped_smmnist": shipped("smmnist", 14, QUICKSTART, COPY_LAST),
    "quickstart": Study(
        QUICKSTART,
        {
            "copy_last": COPY_LAST,
            "prednet": PREDNET,
            "vrnn_flat": [FLAT],
            "vrnn": [],
            "scheduled": SCHEDULED,  # the flagfile itself
            PRETRAINED: [],
        },
        steps=3000,
        horizon=12,
        seeds=3,
        once=("scheduled", PRETRAINED),
    ),
}


def learns(name: str) -> bool:
    return name not in ("copy_last", PRETRAINED)
