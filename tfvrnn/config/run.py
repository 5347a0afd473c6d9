"""The options of data, training and evaluation, and of a whole run."""

import re
from dataclasses import dataclass, field

from tfvrnn.config.model import ModelConfig
from tfvrnn.config.options import check_fields, option, require, require_at_least

EXPORT_SAMPLES, EXPORT_MAX_BATCH = 4, 16  # defaults of an export
TEMPERATURE = (
    "Standard deviation of the prior's noise: 1 samples the model, less is nearer to the mean."
)
SIM_PUSH_SCENES = {"varied": "sim_push", "fixed": "sim_push_fixed"}  # the dataset of each
DATASETS = ("smmnist", "bair", "cityscapes", "video_folder", *SIM_PUSH_SCENES.values(), "pusht")


def _check_seed(seed: int) -> None:
    require(seed < 2**32, "`seed` must be below 2**32.", seed)


@dataclass(frozen=True)
class DataConfig:
    """Dataset and batching options."""

    dataset: str = option("smmnist", "Name of the dataset.", DATASETS)
    data_dir: str = option("data", "Folder of prepared datasets.")
    horizon: int = option(10, "Frames to predict in training.")
    batch_size: int = option(16, "Videos per step, over all accumulated portions.")
    seed: int = option(0, "Seed of the data: of generated videos and of the order.")
    digits: int = option(2, "smmnist: digits per video.")
    digit_source: str = option(
        "packaged",
        "smmnist: the 10,000 digits in the package, or all 70,000 of MNIST through TFDS.",
        ("packaged", "tfds"),
    )
    stride: int = option(1, "Temporal stride: use every n-th frame of a prepared video.")
    flip: bool = option(False, "Augmentation: flip horizontally with probability 0.5.")
    color_jitter: float = option(
        0.0, "Augmentation: largest change of brightness, contrast and saturation; 0: none."
    )
    crop: float = option(
        1.0,
        "Augmentation: smallest side of a random square crop, as a share of the frame; 1: no crop.",
    )
    workers: int = option(2, "Videos decoded and augmented in parallel.")
    service: str = option(
        "", "Address of a tf.data service that supplies training videos: grpc://HOST:PORT."
    )

    def __post_init__(self):
        check_fields(self)
        require_at_least(self, 1, "horizon", "batch_size", "digits", "workers", "stride")
        require(
            self.stride == 1 or self.dataset != "smmnist", "smmnist has no `stride`.", self.stride
        )
        require_at_least(self, 0, "seed", "color_jitter")
        _check_seed(self.seed)
        require(
            self.service == "" or bool(re.fullmatch(r"grpc://.+:[0-9]+", self.service)),
            "`service` must be grpc://HOST:PORT.",
            self.service,
        )
        require(0 < self.crop <= 1, "`crop` must be above 0 and at most 1.", self.crop)


@dataclass(frozen=True)
class TrainConfig:
    """Optimization, logging and checkpoint options."""

    run_dir: str = option(
        "", "Folder of the run; an existing run resumes. Default: runs/<date>-<time>."
    )
    init_from: str = option(
        "",
        "Run folder whose weights a new run starts from. The models may differ only in their loss.",
    )
    steps: int = option(100_000, "Steps of the optimizer.")
    seed: int = option(0, "Seed of initial weights and of all noise.")
    optimizer: str = option(
        "adam",
        "adam: as in the paper. muon: learns more in few steps. It gives every kernel's update "
        "singular values near 1, and uses Adam for biases and scales.",
        ("adam", "muon"),
    )
    learning_rate: float = option(1e-4, "Learning rate, after the warm-up.")
    warmup_steps: int = option(
        0, "Steps over which the learning rate rises from 0, or as scale_learning_rate says."
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
        "Learning rate. cosine: falls to 0 after the warm-up. step: falls to a tenth half-way.",
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
    fine_beta: float = option(1.0, "Factor of beta for all latent levels but the coarsest.")
    free_nats: float = option(
        0.0,
        "Free nats per predicted frame and latent level: the part of a level's KL, summed over a "
        "video, that costs nothing.",
    )
    scheduled_sampling: float = option(
        0.0,
        "vrnn: probability that a frame is predicted from the model's own prediction of the last "
        "frame instead of from the true one.",
    )
    scheduled_mode: str = option(
        "parallel",
        "vrnn: scheduled sampling. parallel: the model's own predictions come from one pass over "
        "true frames. sequential: they come one after another, so their errors add up as in a "
        "rollout.",
        ("parallel", "sequential"),
    )
    accumulate: int = option(
        1,
        "Number of portions in which a batch is computed, to save memory. The gradient is that of "
        "the whole batch, except for svg, whose batch normalisation sees one portion.",
    )
    remat: bool = option(
        False, "Recompute the decoder's activations for the gradient, to save memory."
    )
    average_decay: float = option(
        0.0,
        "Decay of the exponential moving averages of the weights; 0 disables them. Everything but "
        "training uses the averages.",
    )
    precision: str = option(
        "float32",
        "Dtype policy; mixed_float16 scales the loss.",
        ("float32", "mixed_bfloat16", "mixed_float16"),
    )
    strategy: str = option(
        "one_device",
        "one_device: the first GPU, or the CPU; mirrored: all GPUs of this machine; multi_worker: "
        "several machines, named by TF_CONFIG or Slurm; tpu.",
        ("one_device", "mirrored", "multi_worker", "tpu"),
    )
    jit_compile: bool | None = option(
        None, "Compile the train step with XLA; auto: where there is a GPU or TPU."
    )
    deterministic: bool = option(
        False,
        "Compute the same numbers in every run: deterministic kernels, fixed number of threads.",
    )
    log_every: int = option(50, "Steps between records of the training terms.")
    validate_every: int = option(1000, "Steps between validations.")
    validation_videos: int = option(64, "Videos per validation.")
    pictures: int = option(
        4, "Largest number of videos that TensorBoard shows from a validation's first batch."
    )
    checkpoint_every: int = option(1000, "Steps between checkpoints.")
    checkpoints_to_keep: int = option(3, "Number of newest checkpoints to keep.")

    def __post_init__(self):
        check_fields(self)
        require_at_least(
            self, 1, "steps", "accumulate", "log_every", "validate_every", "validation_videos",
            "checkpoint_every", "checkpoints_to_keep", "epoch_videos",
        )  # fmt: skip
        require_at_least(
            self, 0, "seed", "warmup_steps", "weight_decay", "clip_norm", "beta",
            "beta_warmup_steps", "fine_beta", "free_nats", "pictures",
        )  # fmt: skip
        _check_seed(self.seed)
        for name in ("learning_rate", "adam_epsilon"):
            require(getattr(self, name) > 0, f"`{name}` must be positive.", getattr(self, name))
        probability = self.scheduled_sampling
        require(0 <= probability <= 1, "`scheduled_sampling` must be in [0, 1].", probability)
        sequential = probability > 0 and self.scheduled_mode == "sequential"
        require(
            not (sequential and self.remat),
            "`remat` needs `scheduled_mode=parallel`.",
            self.scheduled_mode,
        )
        for name in ("adam_beta_2", "average_decay"):
            value = getattr(self, name)
            require(0 <= value < 1, f"`{name}` must be at least 0 and below 1.", value)


@dataclass(frozen=True)
class EvalConfig:
    """Evaluation options."""

    name: str = option(
        "", "Name of the result. Default: <dataset>_<context>to<horizon>_<videos>x<samples>."
    )
    split: str = option("test", "Split of the dataset.", ("test", "validation"))
    videos: int = option(256, "Number of videos, taken from the start of the split.")
    samples: int = option(100, "Futures drawn per context.")
    horizon: int | None = option(None, "Frames to predict. Default: as in training.")
    seed: int = option(0, "Seed of the first future; the next ones count up.")
    temperature: float = option(1.0, TEMPERATURE)
    batch_size: int = option(8, "Contexts computed at once.")
    ssim: str = option(
        "gaussian",
        "Definition of SSIM: of Wang et al., or skimage's uniform window, as SVG reports.",
        ("gaussian", "uniform"),
    )
    lpips: str = option("alex", "Trunk of LPIPS; none disables it.", ("alex", "vgg", "none"))
    lpips_trunk: str = option(
        "",
        "File with LPIPS's weights, for a machine without a network. Its formats are those of "
        "--source of `tfvrnn fetch`.",
    )
    fvd_network: str = option("i3d", "Network of FVD: i3d, the folder of a SavedModel, or none.")
    fvd_repeats: int = option(5, "FVDs computed, each from one future per context.")
    fvd_context: bool = option(False, "Whether the clips of FVD begin with the context.")
    examples: int = option(4, "Videos that the report shows.")
    cache_dir: str = option(
        "", "Folder that keeps weights and features. Default: the user's cache."
    )

    def __post_init__(self):
        check_fields(self)
        require_at_least(self, 1, "videos", "samples", "horizon", "batch_size", "fvd_repeats")
        require_at_least(self, 0, "seed", "examples", "temperature")
        futures = self.seed + self.videos * self.samples
        require(
            futures <= 2**31, "`seed` and the seeds that follow it must be below 2**31.", self.seed
        )
        require(self.fvd_network != "", "`fvd_network` must be i3d, a folder or none.", "''")
        plain = self.name.replace("-", "").replace("_", "")
        require(
            plain.isalnum() or not self.name, "`name` must be letters, digits, - and _.", self.name
        )


@dataclass(frozen=True)
class Config:
    """The options of a run: model, data, train and eval."""

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
        require(
            self.train.scheduled_sampling == 0 or self.model.family == "vrnn",
            "`train.scheduled_sampling` needs `model.family=vrnn`.",
            self.model.family,
        )

    @property
    def frames(self) -> int:
        """Frames of a training video: context and horizon."""
        return self.model.context_frames + self.data.horizon
