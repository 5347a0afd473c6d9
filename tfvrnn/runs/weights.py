"""Load a run's model with its weights, and keep it as a small preset."""

from pathlib import Path
from typing import TYPE_CHECKING

from tfvrnn import config_flags, files, presets
from tfvrnn.config import Config, UserError, require
from tfvrnn.runs.folder import RunFolder

if TYPE_CHECKING:
    from tfvrnn.models import VideoPredictor


def load_run(
    run_dir: str | Path, precision: str = "float32"
) -> tuple[Config, "VideoPredictor", int]:
    """Load a trained run: (Config, model with its weights, step).

    The weights are the moving averages if the run keeps them. Checkpoints can be read only on
    Keras' TensorFlow backend. A folder that `keep_weights` wrote loads on every backend.

    Args:
        run_dir: run folder, or a folder that `keep_weights` wrote.
        precision: dtype policy of the model; its weights are float32 under every policy.

    Raises:
        UserError: the folder holds no run, no whole checkpoint, or a checkpoint of another model.
    """
    from tfvrnn.models import build_model

    folder = RunFolder(run_dir)
    config = folder.read_config()
    model = build_model(config.model, precision, horizon=config.data.horizon)
    if folder.weights.is_file():
        return config, model, _read_weights(folder.weights, model)

    from tfvrnn import backend

    backend.require_tensorflow()

    from tfvrnn.runs.checkpoints import restore_weights

    return config, model, restore_weights(folder.checkpoints, model)


def load_pretrained(name: str, precision: str = "float32") -> tuple[Config, "VideoPredictor", int]:
    """Load a model that comes with the package, as `load_run` does: (Config, model, step).

    Raises:
        UserError: no model has that name.
    """
    rule = f"`name` must be one of {', '.join(presets.NAMES)}."
    require(name in presets.NAMES, rule, repr(name))
    return load_run(presets.FOLDER / name, precision)


def copy_pretrained(name: str, folder: str | Path) -> None:
    """Copy a model that comes with the package into a folder where its results can be written.

    Raises:
        UserError: the folder cannot be written or holds another run.
    """
    run, source = RunFolder(folder), RunFolder(presets.FOLDER / name)
    if run.exists() and _options(run) != _options(source):
        raise UserError(f"{run.path} holds another run: move it away")
    contents = {run.path / file.name: file.read_bytes() for file in source.path.iterdir()}
    missing = [p for p, content in contents.items() if not p.is_file() or p.read_bytes() != content]
    if missing:
        run.check_writable()
        run.path.mkdir(parents=True, exist_ok=True)
    for path in missing:
        files.write_whole(path, contents[path])


def _options(run: RunFolder) -> Config:
    return config_flags.replace(run.read_config(), {"train.run_dir": ""})


def keep_weights(run_dir: str | Path, folder: str | Path, card: str = "") -> Path:
    """Write a run as a preset with its configuration, small enough to share.

    The weights are those of `load_run`, rounded to float16 if they lie within its range. `load_run`
    and `VideoPredictor.from_preset` read the folder.

    Args:
        run_dir: run folder.
        folder: target folder; created if missing.
        card: text of README.md, the model card; see `VideoPredictor.save_to_preset`.

    Returns:
        Path of the weights.

    Raises:
        UserError: as `load_run`, or `folder` holds a run with checkpoints.
        OSError: the folder cannot be written.
    """
    config, model, step = load_run(run_dir)
    kept = RunFolder(folder)
    dtype = "float16" if presets.fit_float16(model.get_weights()) else "float32"
    model.save_to_preset(kept.path, dtype, card, step)
    kept.write_config(config)
    return kept.weights


def _read_weights(path: Path, model: "VideoPredictor") -> int:
    """Load the weights of a file into a model and return their step."""
    try:
        weights, step = presets.read_weights(path)
        model.set_weights(weights)
        return step
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(f"{path} does not hold the weights of its model: {reason}") from None
