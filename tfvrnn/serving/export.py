"""Export SavedModels that drop into TensorFlow Serving."""

import json
import operator
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf

import tfvrnn
from tfvrnn import backend, config_flags, files, sampling
from tfvrnn.config import EXPORT_MAX_BATCH, EXPORT_SAMPLES, UserError, check_name, expanded
from tfvrnn.models import VideoPredictor
from tfvrnn.runs import RunFolder, load_run
from tfvrnn.sampling import arguments
from tfvrnn.serving import warmup
from tfvrnn.serving.versions import free_version, versions
from tfvrnn.tensor_ops import to_float

CARD = "model_card.json"
WARMED_UP = ("mean", "samples", "serving_default")


def export_sampler(
    run_dir: str | Path,
    out: str | Path,
    horizon: int | None = None,
    samples: int = EXPORT_SAMPLES,
    version: int | None = None,
    precision: str = "float32",
    max_batch: int = EXPORT_MAX_BATCH,
    name: str = "tfvrnn",
    temperature: float = 1.0,
) -> Path:
    """Export the newest whole checkpoint of a run, with its moving averages if it has them.

    Args:
        run_dir: folder of the run.
        out: base folder of the export; the version is a numbered folder in it.
        horizon: frames that a request predicts; None: as in training.
        samples: futures per context that the signature `samples` draws.
        version: number of the version; None: one above the highest existing version.
        precision: dtype policy, 'float32' or 'mixed_bfloat16'.
        max_batch: the largest batch that is warmed up and allowed.
        name: name of the served model.
        temperature: standard deviation of the prior's noise; see `sample_videos`.

    Returns:
        The folder of the version.

    Raises:
        UserError: no run or no whole checkpoint there, a version that exists already, or a
            folder that cannot be written.
        ValueError: a count below 1, a version of 2**63 or more, or a temperature that is negative
            or not finite.
    """
    config, model, step = load_run(run_dir, precision)
    card = {
        "step": step,
        "weights": "moving averages" if config.train.average_decay else "last",
        "precision": precision,
        "configuration": config_flags.values(config),
        "evaluation": _evaluation(RunFolder(run_dir)),
    }
    for of_this_machine in ("train.run_dir", "train.init_from"):
        del card["configuration"][of_this_machine]
    horizon = config.data.horizon if horizon is None else horizon
    return export_model(model, out, horizon, samples, version, max_batch, name, card, temperature)


def export_model(
    model: VideoPredictor,
    out: str | Path,
    horizon: int,
    samples: int = EXPORT_SAMPLES,
    version: int | None = None,
    max_batch: int = EXPORT_MAX_BATCH,
    name: str = "tfvrnn",
    card: dict | None = None,
    temperature: float = 1.0,
) -> Path:
    """Export any model; for other arguments and errors see `export_sampler`.

    `card` has further entries of model_card.json. These are the signatures. Every tensor has
    the batch in dimension 0.

        serving_default  frames uint8 [B, n_ctx, H, W, C], seed int32 [B]
                         -> frames uint8 [B, horizon, H, W, C]
        samples          the same -> frames uint8 [B, samples, horizon, H, W, C]; sample s is the
                         future of serving_default with seed + s
        mean             frames -> frames, with every latent at its mean
        begin            frames -> the state after them, as tensors `state_…`
        step             such a state, seed int32 [B], time int32 [B] -> the state after one more
                         frame, and that frame, `frame` uint8 [B, H, W, C]

    From the state of `begin`, steps at the times 0, 1, … give the frames of `serving_default`, for
    any number of frames. The warm-up covers the first three signatures.

    A version is written to a hidden folder and then renamed, so that a polling server never sees
    an incomplete version.
    """
    backend.require_tensorflow()
    _check(name, horizon=horizon, samples=samples, max_batch=max_batch, version=version)
    horizon, samples, max_batch = map(operator.index, (horizon, samples, max_batch))
    arguments.check_temperature(temperature)
    base = expanded(out)
    batch_sizes = allowed_batch_sizes(max_batch)
    aside = base / f".version-{uuid.uuid4().hex}"
    try:
        base.mkdir(parents=True, exist_ok=True)
        free_version(base, version)  # fails before the export computes
        module, signatures = sampler_module(model, horizon, samples, temperature)
        with files.for_tensorflow(base) as folder:
            # A server needs no gradients, and tracing them takes most of the time.
            options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
            tf.saved_model.save(module, f"{folder}/{aside.name}", signatures, options)
        card = {
            "name": name,
            "version": None,  # set by `_publish`
            "code_version": tfvrnn.__version__,
            "family": type(model).__name__,
            "parameters": model.count_params(),
            "context_frames": model.context_frames,
            "image_shape": list(model.image_shape),
            "horizon": horizon,
            "samples": samples,
            "temperature": float(temperature),
            "batch_sizes": batch_sizes,
            "signatures": sorted(signatures),
            **(card or {}),
        }
        warmup.write(aside, name, model, WARMED_UP, batch_sizes)
        number = _publish(aside, base, card, version)
        if number == versions(base)[-1] or not (base / CARD).exists():
            _write_beside(base, card)
    except (OSError, tf.errors.OpError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.message
        raise UserError(f"cannot write the export into {base}: {reason}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return base / str(number)


def _write_beside(base: Path, card: dict) -> None:
    """Write the files beside the versions, which are of the newest."""
    files.write_whole(base / CARD, _to_json(card))
    files.write_whole(base / "models.config", models_config(card["name"]))
    files.write_whole(base / "batching.config", batching_config(card["batch_sizes"]))


def _check(name: str, version: int | None, **counts: int) -> None:
    check_name(name)
    for argument, value in (counts | {"version": version}).items():
        if value is not None and value < 1:
            raise ValueError(f"`{argument}` must be at least 1. Received: {value}")
    if version and version >= 2**63:
        raise ValueError(f"`version` must be below 2**63. Received: {version}")


def _publish(aside: Path, base: Path, card: dict, version: int | None) -> int:
    """Rename a complete version to its number: the next one free now, not when it was begun."""
    number = card["version"] = int(free_version(base, version))
    (aside / "assets.extra" / CARD).write_text(_to_json(card))
    aside.rename(base / str(number))
    return number


def sampler_module(
    model: VideoPredictor, horizon: int, samples: int, temperature: float = 1.0
) -> tuple[tf.Module, dict[str, Callable]]:
    """Build (module that holds the weights, {name: concrete function} of its signatures)."""
    frames_shape = (model.context_frames, *model.image_shape)
    frames = tf.TensorSpec((None, *frames_shape), tf.uint8, "frames")
    seed = tf.TensorSpec((None,), tf.int32, "seed")

    def futures(frames, seeds):
        context = _context(frames, frames_shape)
        videos = sampling.rollout_frames(model, context, seeds, tf.constant(horizon), temperature)
        return _to_uint8(videos)

    def checked(frames, seed):
        with tf.control_dependencies([_same_rows(frames=frames, seed=seed)]):
            return tf.cast(seed, tf.int64)[:, None]

    def one(frames, seed):
        return {"frames": futures(frames, checked(frames, seed))}

    def several(frames, seed):
        seeds = checked(frames, seed) + tf.range(samples, dtype=tf.int64)
        videos = futures(frames, seeds)
        shape = (-1, samples, horizon, *model.image_shape)
        return {"frames": tf.reshape(videos, shape)}

    def mean(frames):
        return {"frames": futures(frames, None)}

    module = tf.Module()
    # The module holds the bare variables, not the model. Keras' wrappers would be saved as second
    # variables, and a session, as in the C++ server, would restore those, not the ones in use.
    module.weights = [weight.value for weight in model.weights]
    return module, {
        "serving_default": _traced(one, frames, seed),
        "samples": _traced(several, frames, seed),
        "mean": _traced(mean, frames),
        **_stepwise(model, frames, temperature),
    }


def _stepwise(model, frames_spec, temperature: float) -> dict[str, Callable]:
    """Trace `begin` and `step`: a future of any length, whose state the caller carries.

    The state's tensors are float32 under every policy. Every client knows float32, and nothing is
    lost.
    """
    states, names = [], []

    def begin(frames):
        states.append(model.begin(_context(frames, frames_spec.shape[1:])))
        named = _named(states[0])
        names.extend(named)
        return named

    def step(seed, time, **named):
        first = {name: named[name] for name in sorted(named)[:1]}
        with tf.control_dependencies([_same_rows(seed=seed, time=time, **first)]):
            seeds = tf.cast(seed, tf.int64)
        given = [
            tf.cast(named[name], x.dtype) for name, x in zip(names, tf.nest.flatten(states[0]))
        ]
        state = tf.nest.pack_sequence_as(states[0], given)
        noise = [temperature * z for z in sampling.row_noise(model, seeds, time)]
        state, frame = model.step(state, noise)
        return {**_named(state), "frame": _to_uint8(frame)}

    begun = _traced(begin, frames_spec)
    specs = {name: tf.TensorSpec(begun.structured_outputs[name].shape, name=name) for name in names}
    rows = {name: tf.TensorSpec((None,), tf.int32, name) for name in ("seed", "time")}
    return {"begin": begun, "step": _traced(step, **rows, **specs)}


def _named(state, name="state") -> dict[str, tf.Tensor]:
    """Name a state's tensors after their places in it, such as `state_prior_0_hidden`."""
    if hasattr(state, "_asdict"):
        parts = state._asdict().items()
    elif isinstance(state, tuple):
        parts = enumerate(state)
    else:
        return {name: tf.cast(state, tf.float32)}
    named = (_named(part, f"{name}_{key}") for key, part in parts)
    return {name: x for tensors in named for name, x in tensors.items()}


def _traced(function, *specs, **named):
    return tf.function(function, autograph=False).get_concrete_function(*specs, **named)


def _to_uint8(frames):
    return tf.cast(tf.round(frames * 255.0), tf.uint8)


def _same_rows(**inputs):
    """Assert that all inputs have the same number of rows."""
    names = " and ".join(f"`{name}`" for name in inputs)
    counts = tf.stack([tf.shape(x)[0] for x in inputs.values()])
    return tf.debugging.assert_equal(counts, counts[0], f"{names} differ in dimension 0")


def _context(frames, shape):
    """Check the shape of frames, and scale them to [0, 1].

    Once saved and loaded, a function takes frames of any shape.
    """
    rule = f"the shape of `frames` must be [B, {', '.join(map(str, shape))}]"
    same = tf.debugging.assert_equal(tf.shape(frames)[1:], shape, rule)
    with tf.control_dependencies([same]):  # the check runs before the model
        return to_float(frames)


def allowed_batch_sizes(largest: int) -> list[int]:
    """List the powers of two below the largest size, and the largest."""
    sizes = [2**k for k in range(largest.bit_length()) if 2**k < largest]
    return [*sizes, largest]


def models_config(name: str) -> str:
    """Text of the file that `tensorflow_model_server --model_config_file` reads.

    The base folder must be mounted at /models/NAME.
    """
    return (
        f'model_config_list {{\n  config {{\n    name: "{name}"\n'
        f'    base_path: "/models/{name}"\n    model_platform: "tensorflow"\n  }}\n}}\n'
    )


def batching_config(batch_sizes: Sequence[int]) -> str:
    """Text of the file that `tensorflow_model_server --batching_parameters_file` reads."""
    allowed = "".join(f"allowed_batch_sizes: {size}\n" for size in batch_sizes)
    return (
        f"max_batch_size {{ value: {batch_sizes[-1]} }}\n"
        "batch_timeout_micros { value: 2000 }\n"
        "max_enqueued_batches { value: 100 }\n"
        f"{allowed}"
    )


def _evaluation(folder: RunFolder) -> dict:
    """Read the evaluations of a run: {protocol: contents of its file}."""
    paths = sorted(folder.evaluation.glob("*.json"))
    try:
        return {path.stem: files.read_json(path) for path in paths}
    except ValueError as error:
        raise UserError(f"an evaluation in {folder.evaluation} cannot be read: {error}") from None


def _to_json(value) -> str:
    return json.dumps(value, indent=2) + "\n"
