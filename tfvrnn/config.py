"""Every option of the project: its type, default, meaning and check. Standard library only.

These frozen dataclasses are the only declaration of an option; flags and flagfiles derive from
them (see config_flags.py). A field's `help` in its metadata is the flag's help, `choices` what
it may be.
"""

import dataclasses
import math
import numbers
import os
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path

SMALLEST_CONV_MAP = 8
# Values of a group, which are channels at 1x1: a group of two is normalised to its two signs.
MINIMUM_GROUP = 4
TEMPERATURE = "Deviation of the prior's noise: 1 samples the model, less is nearer to the mean."
KINDS = {bool: bool, int: numbers.Integral, float: numbers.Real, str: (str, os.PathLike)}
SIM_PUSH_SCENES = {"varied": "sim_push", "fixed": "sim_push_fixed"}  # the dataset of each
DATASETS = ("smmnist", "bair", "cityscapes", "video_folder", *SIM_PUSH_SCENES.values(), "pusht")


class UserError(ValueError):
    """A mistake of the user: programs print it as one line and exit with code 2."""


def expanded(path: str | os.PathLike) -> Path:
    """The path with the home folder that it begins with, `~` or `~name`, as a shell expands it.

    A `~name` that is no user's is a name like others. It comes back absolute, so that expanding it
    again changes nothing.
    """
    path = Path(os.path.expanduser(path))  # noqa: PTH111  (Path.expanduser refuses such names)
    return path.absolute() if str(path).startswith("~") else path


def option(default, help: str, choices: tuple[str, ...] | None = None):
    """A field of a configuration, with its default, help and allowed values."""
    return field(default=default, metadata={"help": help, "choices": choices})


def require(holds: bool, rule: str, received) -> None:
    """Raise UserError with the rule and what was received instead, unless it holds."""
    if not holds:
        raise UserError(f"{rule} Received: {received}")


def require_at_least(config, minimum, *names: str) -> None:
    """Every named field is None or at least `minimum`."""
    for name in names:
        value = getattr(config, name)
        require(value is None or value >= minimum, f"`{name}` must be at least {minimum}.", value)


def check_fields(config) -> None:
    """Every field is of its type, and one of its choices if it declares any; floats are finite.

    Paths become text, NumPy's numbers Python's, lists tuples.
    """
    for spec in dataclasses.fields(config):
        choices = spec.metadata.get("choices")
        value = _plain(spec.name, spec.type, getattr(config, spec.name))
        object.__setattr__(config, spec.name, value)
        if choices and value is not None:
            allowed = ", ".join(choices)
            require(value in choices, f"`{spec.name}` must be one of {allowed}.", repr(value))


def _plain(name: str, kind, value):
    if isinstance(kind, types.UnionType):
        if value is None:
            return value
        [kind] = set(typing.get_args(kind)) - {types.NoneType}
    if typing.get_origin(kind) is tuple:
        require(isinstance(value, tuple | list), f"`{name}` must be a tuple.", repr(value))
        return tuple(_plain(name, typing.get_args(kind)[0], part) for part in value)
    if kind not in KINDS:  # a configuration within this one
        return value
    fits = isinstance(value, KINDS[kind]) and (kind is bool or not isinstance(value, bool))
    require(fits, f"`{name}` must be {kind.__name__}.", repr(value))
    if kind is float:
        require(math.isfinite(value), f"`{name}` must be finite.", value)
    return os.fspath(value) if kind is str else kind(value)


@dataclass(frozen=True)
class ModelConfig:
    """What is built. A family ignores the options that it does not use."""

    family: str = option("vrnn", "Kind of model.", ("vrnn", "svg", "prednet", "copy_last"))
    image_size: int = option(64, "Side of the square frames in pixels: 8, 16, 32, 64, 128, ...")
    channels: int = option(3, "Channels of a frame: 1 (grey) or 3 (colour).")
    width: int = option(64, "Channels of the finest feature maps; 64 in the paper.")
    context_frames: int = option(2, "Frames that the model is given.")
    latent_resolutions: tuple[int, ...] | None = option(
        None, "Resolutions of the latent levels, coarsest first; 1 alone: no hierarchy."
    )
    latent_channels: tuple[int, ...] | None = option(
        None,
        "Channels of the latents of each level, coarsest first. Default: as many as the encoder "
        "has at that resolution. The release has 10 without hierarchy.",
    )
    latent_feedback: str = option(
        "none",
        "own: prior and posterior also see their own level's earlier latents, as eqs. 7 and 8 of "
        "the paper are written; none: as the release.",
        ("none", "own"),
    )
    groups: int = option(16, "Groups of a group normalisation; 16 in the paper.")
    reconstruction: str = option(
        "l1",
        "Reconstruction term, summed over pixels. laplace and gaussian: l1 and l2 as log "
        "densities, whose scale follows the error.",
        ("l1", "l2", "bce", "laplace", "gaussian"),
    )
    forget_bias: float = option(0.0, "Initial offset of the ConvLSTMs' forget gates.")
    initial_variance: float = option(
        math.log(2.0), "Variance of the latents before training; log 2 in the release."
    )

    svg_encoder: str = option("dcgan", "svg: the frame encoder and decoder.", ("dcgan", "vgg"))
    svg_latents: int = option(10, "svg: channels of the latent.")
    svg_prior: str = option(
        "learned", "svg: prior of the latents; fixed: N(0, 1), SVG-FP.", ("learned", "fixed")
    )
    prednet_loss: str = option(
        "Lall", "prednet: error of the image alone, or a tenth of every layer's.", ("L0", "Lall")
    )
    prednet_stacks: tuple[int, ...] = option(
        (48, 96, 192), "prednet: channels of the three layers above the image."
    )
    prednet_extrapolate: bool = option(
        False, "prednet: the second phase, on its own predictions after the context."
    )
    prednet_feedback: str = option(
        "previous",
        "prednet: the prediction that stands for a frame after the context: previous, that of the "
        "step before (the official code), or own, that of the same step.",
        ("previous", "own"),
    )

    def __post_init__(self):
        check_fields(self)
        require_at_least(self, 1, "width", "context_frames", "groups", "svg_latents")
        require(self.channels in (1, 3), "`channels` must be 1 or 3.", self.channels)
        halvings = self.image_size // SMALLEST_CONV_MAP
        require(
            halvings >= 1
            and self.image_size % SMALLEST_CONV_MAP == 0
            and halvings & (halvings - 1) == 0,
            "`image_size` must be 8 times a power of two (8, 16, 32, 64, 128, ...).",
            self.image_size,
        )
        if self.latent_resolutions is not None:
            self._check_latent_resolutions()
        self._check_latent_channels()
        require(
            1e-4 <= self.initial_variance <= 100.0,
            "`initial_variance` must lie in 0.0001 to 100.",
            self.initial_variance,
        )
        require(
            len(self.prednet_stacks) == 3 and min(self.prednet_stacks) >= 1,
            "`prednet_stacks` must be three numbers of channels.",
            self.prednet_stacks,
        )
        if self.family == "vrnn":
            self._check_groups()
        if self.family == "svg":
            require(self.image_size == 64, "`image_size` must be 64 for svg.", self.image_size)

    def _check_latent_resolutions(self):
        levels, allowed = self.latent_resolutions, sorted(self.encoder_channels)
        require(
            len(levels) > 0 and set(levels) <= set(allowed),
            "`latent_resolutions` must be resolutions of the encoder "
            f"({', '.join(map(str, allowed))}).",
            levels,
        )
        require(
            list(levels) == sorted(set(levels)),
            "`latent_resolutions` must increase, coarsest first.",
            levels,
        )

    def _check_latent_channels(self):
        channels, levels = self.latent_channels, self.resolved_latent_resolutions
        if channels is None:
            return
        require(
            len(channels) == len(levels) and min(channels) >= 1,
            f"`latent_channels` must be {len(levels)} positive numbers, one per latent level.",
            channels,
        )
        # Means and raw variances are normalised together.
        least = MINIMUM_GROUP // 2
        require(
            levels[0] != 1 or channels[0] >= least,
            f"`latent_channels` must be at least {least} at 1x1, as a normalisation over fewer "
            "values leaves only their signs.",
            channels,
        )

    def _check_groups(self):
        for channels in self.encoder_channels.values():
            groups = min(self.groups, channels)
            require(
                channels % groups == 0,
                f"`width` must make channels that divide into {self.groups} groups, "
                f"but {channels} channels do not.",
                f"width={self.width}, groups={self.groups}",
            )
        top = self.encoder_channels[1]
        require(
            top // min(self.groups, top) >= MINIMUM_GROUP,
            f"`groups` must leave at least {MINIMUM_GROUP} of the {top} channels at 1x1 to each "
            "group, as a group of one or two values normalises everything away.",
            f"width={self.width}, groups={self.groups}",
        )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of a frame."""
        return (self.image_size, self.image_size, self.channels)

    @property
    def encoder_channels(self) -> dict[int, int]:
        """{resolution: channels}, finest first: doubling from `width` up to 8 times it."""
        channels, resolution = {}, self.image_size
        while resolution >= SMALLEST_CONV_MAP:
            channels[resolution] = min(2 ** len(channels), 8) * self.width
            resolution //= 2
        channels[4] = channels[1] = channels[SMALLEST_CONV_MAP]
        return channels

    @property
    def resolved_latent_resolutions(self) -> tuple[int, ...]:
        """The latent levels: those given, or the paper's for this size.

        1, an eighth of the side (at least 8) and half of it: (1, 8, 32) at 64.
        """
        if self.latent_resolutions is not None:
            return self.latent_resolutions
        half = self.image_size // 2
        middle = min(max(self.image_size // 8, SMALLEST_CONV_MAP), half)
        return tuple(sorted({1, middle, half}))


@dataclass(frozen=True)
class DataConfig:
    """What is learnt from, and in which portions."""

    dataset: str = option("smmnist", "Name of the dataset.", DATASETS)
    data_dir: str = option("data", "Where bin/prepare_data.py put prepared datasets.")
    horizon: int = option(10, "Frames to predict in training.")
    batch_size: int = option(16, "Videos per step, over all accumulated portions.")
    seed: int = option(0, "Seed of the data: of generated videos and of the order.")
    digits: int = option(2, "smmnist: digits in a video.")
    digit_source: str = option(
        "packaged",
        "smmnist: the 10,000 digits in the package, or all 70,000 of MNIST through TFDS.",
        ("packaged", "tfds"),
    )
    stride: int = option(1, "Frames of a prepared video from one frame of a clip to the next.")
    flip: bool = option(False, "Augmentation: left and right change places, by even chances.")
    color_jitter: float = option(
        0.0, "Augmentation: largest change of brightness, contrast and saturation; 0: none."
    )
    crop: float = option(1.0, "Augmentation: least side of a random square part; 1: the whole.")
    workers: int = option(2, "Parallel calls that prepare videos.")
    service: str = option(
        "", "Address of a tf.data service that prepares training videos: grpc://HOST:PORT."
    )

    def __post_init__(self):
        check_fields(self)
        require_at_least(self, 1, "horizon", "batch_size", "digits", "workers", "stride")
        require(
            self.stride == 1 or self.dataset != "smmnist", "smmnist has no `stride`.", self.stride
        )
        require_at_least(self, 0, "seed", "color_jitter")
        require(0 < self.crop <= 1, "`crop` must lie in 0 to 1, without 0.", self.crop)


@dataclass(frozen=True)
class TrainConfig:
    """How it is learnt, and what is written down."""

    run_dir: str = option(
        "", "Folder of the run; an existing run resumes. Default: runs/<date>-<time>."
    )
    init_from: str = option("", "Run folder whose weights a new run starts from.")
    steps: int = option(100_000, "Steps of the optimizer.")
    seed: int = option(0, "Seed of initial weights and of all noise.")
    optimizer: str = option(
        "adam",
        "adam, the paper's; muon learns more in few steps: it brings the updates of kernels to "
        "equal singular values, and leaves biases and scales to Adam.",
        ("adam", "muon"),
    )
    learning_rate: float = option(1e-4, "Learning rate, after the warm-up.")
    warmup_steps: int = option(
        0, "Steps over which the learning rate rises, from 0 unless scale_learning_rate."
    )
    scale_learning_rate: bool = option(
        False,
        "The release's rule for large batches: the learning rate rises to batch_size / 16 times "
        "its value over 5 epochs, or over warmup_steps where given.",
    )
    epoch_videos: int = option(
        60_000, "Videos per epoch, for scale_learning_rate; 60,000 of Moving MNIST in the release."
    )
    schedule: str = option(
        "constant",
        "Learning rate after the warm-up; cosine: falls to 0; step: from half-way on a tenth.",
        ("constant", "cosine", "step"),
    )
    adam_epsilon: float = option(1e-8, "Epsilon of Adam.")
    adam_beta_2: float = option(
        0.999, "Decay of Adam's average of squared gradients; lower suits runs of few steps."
    )
    weight_decay: float = option(0.0, "Weight decay, of every weight; 1e-4 in the release.")
    weight_decay_mode: str = option(
        "coupled",
        "coupled: L2, added to the gradient (the release's); decoupled: AdamW.",
        ("coupled", "decoupled"),
    )
    clip_norm: float = option(0.0, "Largest global norm of the gradient; 0: unlimited.")
    beta: float = option(1.0, "Weight of the KL term, after its warm-up.")
    beta_warmup_steps: int = option(0, "Steps over which beta rises from 0.")
    free_nats: float = option(
        0.0, "Nats per predicted frame of each latent level's KL that cost nothing."
    )
    accumulate: int = option(
        1,
        "Portions that a batch is computed in, to save memory. The same gradient as of the whole, "
        "except for svg, whose batch normalisation sees a portion.",
    )
    remat: bool = option(
        False, "Compute the decoder's activations again for the gradient, to save memory."
    )
    average_decay: float = option(
        0.0,
        "Decay of the moving averages of the weights, which all but training uses where there "
        "are any; 0: none.",
    )
    precision: str = option(
        "float32",
        "Dtype policy; mixed_float16 scales the loss.",
        ("float32", "mixed_bfloat16", "mixed_float16"),
    )
    strategy: str = option(
        "one_device",
        "Devices: one; mirrored: all GPUs of this machine; multi_worker: several machines, by "
        "TF_CONFIG or Slurm; tpu.",
        ("one_device", "mirrored", "multi_worker", "tpu"),
    )
    jit_compile: bool | None = option(
        None, "Compile the train step with XLA; auto: where there is a GPU or TPU."
    )
    deterministic: bool = option(
        False, "Same numbers on every run: deterministic kernels, fixed number of threads."
    )
    log_every: int = option(50, "Steps between records of the training terms.")
    validate_every: int = option(1000, "Steps between validations.")
    validation_videos: int = option(64, "Videos of a validation.")
    pictures: int = option(
        4, "Videos shown in TensorBoard, at most, of a validation's first batch."
    )
    checkpoint_every: int = option(1000, "Steps between checkpoints.")
    checkpoints_to_keep: int = option(3, "Newest checkpoints that are kept.")

    def __post_init__(self):
        check_fields(self)
        require_at_least(
            self, 1, "steps", "accumulate", "log_every", "validate_every", "validation_videos",
            "checkpoint_every", "checkpoints_to_keep", "epoch_videos",
        )  # fmt: skip
        require_at_least(
            self, 0, "seed", "warmup_steps", "weight_decay", "clip_norm", "beta",
            "beta_warmup_steps", "free_nats", "pictures",
        )  # fmt: skip
        for name in ("learning_rate", "adam_epsilon"):
            require(getattr(self, name) > 0, f"`{name}` must be positive.", getattr(self, name))
        for name in ("adam_beta_2", "average_decay"):
            value = getattr(self, name)
            require(0 <= value < 1, f"`{name}` must be at least 0 and below 1.", value)


@dataclass(frozen=True)
class EvalConfig:
    """What is measured."""

    name: str = option(
        "", "Name of the result. Default: <dataset>_<context>to<horizon>_<videos>x<samples>."
    )
    split: str = option("test", "Split of the dataset.", ("test", "validation"))
    videos: int = option(256, "Videos of the split, from the first.")
    samples: int = option(100, "Futures drawn of each context.")
    horizon: int | None = option(None, "Frames to predict; none: as in training.")
    seed: int = option(0, "Seed of the first future; the next ones count up.")
    temperature: float = option(1.0, TEMPERATURE)
    batch_size: int = option(8, "Contexts computed at once.")
    ssim: str = option(
        "gaussian",
        "Definition of SSIM: of Wang et al., or skimage's uniform window, as SVG reports.",
        ("gaussian", "uniform"),
    )
    lpips: str = option("alex", "Trunk of LPIPS.", ("alex", "vgg", "none"))
    lpips_trunk: str = option("", "torchvision's file of the trunk, where it cannot be fetched.")
    fvd_network: str = option("i3d", "Features of FVD: i3d, the folder of a SavedModel, or none.")
    fvd_repeats: int = option(5, "FVDs computed, each of one future of every context.")
    fvd_context: bool = option(False, "Whether the clips of FVD begin with the context.")
    examples: int = option(4, "Videos that the report shows.")
    cache_dir: str = option("", "Where weights and features are kept. Default: the user's cache.")

    def __post_init__(self):
        check_fields(self)
        require_at_least(self, 1, "videos", "samples", "horizon", "batch_size", "fvd_repeats")
        require_at_least(self, 0, "seed", "examples", "temperature")
        futures = self.seed + self.videos * self.samples
        require(futures <= 2**31, "`seed` and those that follow must be below 2**31.", self.seed)
        require(self.fvd_network != "", "`fvd_network` must be i3d, a folder or none.", "''")
        plain = self.name.replace("-", "").replace("_", "")
        require(
            plain.isalnum() or not self.name, "`name` must be letters, digits, - and _.", self.name
        )


@dataclass(frozen=True)
class Config:
    """A whole run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)

    def __post_init__(self):
        batch, portions = self.data.batch_size, self.train.accumulate
        require(
            batch % portions == 0,
            "`data.batch_size` must divide into `train.accumulate` portions.",
            f"batch_size={batch}, accumulate={portions}",
        )

    @property
    def frames(self) -> int:
        """Frames of a training video: context and horizon."""
        return self.model.context_frames + self.data.horizon
