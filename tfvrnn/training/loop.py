"""The training run, from a configuration to a trained model on disk."""

import contextlib
import math
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import keras
import tensorflow as tf
from tqdm import tqdm

from tfvrnn import backend
from tfvrnn.config import Config, UserError, require
from tfvrnn.data import read
from tfvrnn.models import VideoPredictor, build_model
from tfvrnn.runs import RunFolder, checkpoint_paths, resume
from tfvrnn.runs.checkpoints import Checkpoints
from tfvrnn.training.optimizer import MovingAverages, make_optimizer
from tfvrnn.training.signals import stop_signals
from tfvrnn.training.step import is_compiled, make_train_step, per_unit
from tfvrnn.training.strategy import Workers, distributed_dataset, make_strategy
from tfvrnn.training.summaries import Summaries
from tfvrnn.training.validation import Findings, Validation


class TrainingDiverged(RuntimeError):
    """The loss or the gradient of a step is not finite."""


@dataclass
class Outcome:
    """How a run ended: its last step, whether a signal stopped it, and its last validation."""

    step: int
    stopped: bool
    validation: dict[str, float]


def prepare_tensorflow(config: Config) -> None:
    """Set up TensorFlow for the whole process, before it computes anything."""
    if config.train.deterministic:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(2)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            rule = "`train.deterministic` needs a new process"
            raise UserError(f"{rule}: TensorFlow has already computed in this one") from None
        keras.utils.set_random_seed(config.train.seed)
        tf.config.experimental.enable_op_determinism()
    if not tf.config.list_physical_devices("GPU"):
        # On a CPU, the graph optimizer costs 10 s of start-up at width 16. In two trials, with it
        # and without it, the time per step differed by less than 6 percent.
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    backend.divide_cores()


def train(config: Config) -> Outcome:
    """Train, or continue training, in the run folder `config.train.run_dir`.

    Writes TensorBoard logs and checkpoints. On SIGTERM or Ctrl-C, saves after the current step
    and returns.

    Returns:
        `Outcome`: the last step, whether a signal stopped the run, and its last validation.

    Raises:
        UserError: the options name no folder, Keras computes with another backend, the data cannot
            be read, or the run folder is in use, cannot be written or holds another model.
        TrainingDiverged: the loss or the gradient of a step is not finite. The message names the
            step and the last good checkpoint.
    """
    backend.require_tensorflow()
    require(config.train.run_dir != "", "`train.run_dir` must name a folder.", "''")
    prepare_tensorflow(config)
    strategy = make_strategy(config.train.strategy)
    folder = RunFolder(config.train.run_dir)
    workers = Workers(strategy)
    distributed_dataset(strategy, config, 0)  # raises its errors before anything is written
    with writing(folder):
        lock = folder.locked() if workers.is_chief else contextlib.nullcontext()
    with stop_signals() as stop, lock:
        return _train(config, folder, strategy, workers, stop)


def _train(
    config: Config,
    folder: RunFolder,
    strategy: tf.distribute.Strategy,
    workers: Workers,
    stop: list[int],
) -> Outcome:
    settings, batch_size, chief = config.train, config.data.batch_size, workers.is_chief
    with strategy.scope():
        model = build_model(config.model, settings.precision, settings.seed, settings.remat)
        optimizer = make_optimizer(settings, batch_size, model.initial_loss_scale)
        optimizer.build(model.trainable_variables)
        decay = settings.average_decay
        averages = MovingAverages(model, decay) if decay else None
        train_step = make_train_step(model, optimizer, config, averages)
        keep = settings.checkpoints_to_keep
        checkpoints = Checkpoints(folder, model, optimizer, averages, keep, batch_size)
    resume.restore(config, folder, model, checkpoints)
    if chief:
        announce(config, model)
        with writing(folder):
            folder.checkpoints.mkdir(parents=True, exist_ok=True)
            folder.write_config(config)
    workers.check_same_step(checkpoints.step)
    # Outside the scope, as variables made in it (validation, averages) need all workers.
    first = step = checkpoints.step
    videos = distributed_dataset(strategy, config, checkpoints.videos)
    batches = read(videos, config.data, config.model)
    chores = Chores(config, folder, model, checkpoints, averages) if chief else None
    log = Log(config)
    with progress_bar(step, settings.steps, chief) as bar:
        for done, frames in zip(range(step, settings.steps), batches):
            metrics = train_step(frames, tf.constant(done, tf.int64))
            step = done + 1
            metrics = {name: float(value) for name, value in metrics.items()}
            check_finite(metrics, step, folder)
            checkpoints.advance()
            log.add(metrics)
            advance(bar, log.line(), done == first)
            stopping = workers.any(bool(stop))
            if chores:
                chores.after(step, log, bar, stopping)
            if stopping:
                break
    found = chores.found if chores else {}
    return Outcome(step, stopped=step < settings.steps, validation=found)


class Chores:
    """The work of the first worker, the chief, between steps: records, validations, checkpoints.

    Args:
        config, folder: of the run.
        model, checkpoints, averages: those of the train step.
    """

    def __init__(
        self,
        config: Config,
        folder: RunFolder,
        model: VideoPredictor,
        checkpoints: Checkpoints,
        averages: MovingAverages | None,
    ):
        self.settings, self.horizon, self.model = config.train, config.data.horizon, model
        self.folder, self.checkpoints = folder, checkpoints
        self.validation = Validation(model, config, averages)
        with writing(folder):
            self.summaries = Summaries(folder, config)
        self.found: dict[str, float] = {}

    def after(self, step: int, log: "Log", bar: tqdm, stopping: bool) -> None:
        """Do everything that is due after step number `step`."""
        settings, last = self.settings, step == self.settings.steps
        if step == 1 or step % settings.log_every == 0 or last:
            means = log.take()
            means |= per_unit(means, self.model, self.horizon)
            with writing(self.folder):
                self.summaries.write_scalars(self.summaries.train, step, means)
        # Save first: a validation may fail, or take longer than a scheduler waits. The last one
        # comes before, as the step is repeated if it is lost.
        if (step % settings.checkpoint_every == 0 or stopping) and not last:
            self.checkpoints.save()
            log.restart_clock()
        if last or (step % settings.validate_every == 0 and not stopping):
            bar.set_postfix_str("validating")
            findings = self.validation()
            with writing(self.folder):
                self.found = record(findings, self.summaries, step, self.model)
            log.restart_clock()
        if last:
            self.checkpoints.save()
        if last or stopping:
            with writing(self.folder):
                self.summaries.flush()


def announce(config: Config, model: VideoPredictor) -> None:
    """Print how large the model is and how it is computed."""
    auto = " (auto)" if config.train.jit_compile is None else ""
    xla = "on" if is_compiled(config) else "off"
    print(f"{model.count_params():,} parameters; XLA{auto}: {xla}; the first step takes longest")


def check_finite(metrics: dict[str, float], step: int, folder: RunFolder) -> None:
    """Raise TrainingDiverged if the loss or the gradient is not finite.

    The gradient of a scaled loss need not be finite: its step is skipped, and the scale is halved.
    """
    watched = ["loss"] if "loss_scale" in metrics else ["loss", "gradient_norm"]
    for name in watched:
        if not math.isfinite(metrics[name]):
            good = checkpoint_paths(folder.checkpoints)[:1] or ["none"]
            raise TrainingDiverged(
                f"the {name.replace('_', ' ')} of step {step} is {metrics[name]}; "
                f"the last good checkpoint is {good[0]}"
            )


def record(
    findings: Findings, summaries: Summaries, step: int, model: VideoPredictor
) -> dict[str, float]:
    """Write and print the findings of a validation, and return its scalars."""
    scalars, videos = findings
    summaries.write_scalars(summaries.validation, step, scalars)
    if videos:
        summaries.write_pictures(step, videos)
    summaries.flush()
    tqdm.write(f"step {step}: validation {describe(scalars, model)}")
    return scalars


def describe(scalars: dict[str, float], model: VideoPredictor) -> str:
    """Describe a validation in one line, as a sum if the reconstruction term is in nats too."""
    text, kl = f"reconstruction {scalars['reconstruction']:.4g}", f"KL {scalars['kl']:.2f} nats"
    if not model.mean_over_pixels:
        text = f"negative ELBO {scalars['negative_elbo']:.4g} = {text} + {kl}"
    elif model.latent_resolutions:
        text = f"{text}, {kl}"
    return f"{text} (copying the last frame: reconstruction {scalars['copy_last']:.4g})"


class Log:
    """Means of the metrics and frames/s since the last record."""

    def __init__(self, config: Config):
        self.frames = config.data.batch_size * config.frames
        self.metrics, self.tracing = [], True
        self.restart_clock()

    def restart_clock(self) -> None:
        """Measure frames/s from here on, as the time before was not training."""
        self.started, self.steps = time.perf_counter(), 0

    def add(self, metrics: dict[str, float]) -> None:
        self.metrics.append(metrics)
        self.newest = metrics
        self.steps += 1
        if self.tracing:  # the first step takes longer than the others
            self.tracing = False
            self.restart_clock()

    @property
    def frames_per_second(self) -> float:
        return self.frames * self.steps / (time.perf_counter() - self.started)

    def line(self) -> str:
        """Describe the newest step for the progress bar."""
        terms = self.newest
        levels = " ".join(f"{n}={v:z.2f}" for n, v in terms.items() if n.startswith("kl_"))
        # Short enough for a terminal of 80 columns.
        losses = f"loss={terms['loss']:.4g} {levels}".strip()
        return f"{losses} {self.frames_per_second:.0f} frames/s"

    def take(self) -> dict[str, float]:
        """Return means since the last call, without the norms of skipped gradients."""
        means = {"frames_per_second": self.frames_per_second} if self.steps else {}
        for name in self.newest:
            finite = [m[name] for m in self.metrics if math.isfinite(m[name])]
            if finite:
                means[name] = statistics.fmean(finite)
        self.metrics = []
        self.restart_clock()
        return means


def progress_bar(step: int, steps: int, shown: bool = True) -> tqdm:
    """Make a progress bar over steps, with the time left."""
    return tqdm(
        total=steps,
        initial=step,
        unit="step",
        dynamic_ncols=True,
        smoothing=0.05,
        mininterval=0.1 if sys.stderr.isatty() else 10,  # a file keeps every line
        disable=not shown,
    )


def advance(bar: tqdm, line: str, first: bool) -> None:
    """Advance the bar by a step. The first one, which traces, says nothing about the time left."""
    if first and not bar.disable:
        bar.unpause()
        bar.last_print_n += 1
    bar.update()
    bar.set_postfix_str(line, refresh=False)


@contextlib.contextmanager
def writing(folder: RunFolder) -> Iterator[None]:
    """Turn write errors in this block into a one-line `UserError`."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        reason = " ".join(str(getattr(error, "message", error)).split())[:200]
        raise UserError(f"cannot write into run folder {folder.path}: {reason}") from None
