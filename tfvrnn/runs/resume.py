"""Rules by which a training run starts or resumes."""

import datetime
import os
from typing import TYPE_CHECKING, Any

from tfvrnn import commands, config_flags
from tfvrnn.config import Config, UserError, expanded
from tfvrnn.dataset_paths import require_prepared
from tfvrnn.runs.folder import RunFolder, checkpoint_paths, step_of
from tfvrnn.runs.weights import load_run

if TYPE_CHECKING:
    from tfvrnn.models import VideoPredictor
    from tfvrnn.runs.checkpoints import Checkpoints

# Options of the loss. They leave the weights as they are, so a new run may change them.
LOSS_OPTIONS = ("model.reconstruction", "model.prednet_loss", "model.prednet_extrapolate")


def resolve(changes: dict[str, Any]) -> tuple[Config, bool]:
    """Resolve the options that a user set into the configuration of a run.

    1. The folder is `train.run_dir`, or a new one named after the time. It must be writable.
       With `train.strategy=multi_worker` it must be given.
    2. If the folder holds a run, that run resumes, and its own configuration is the base. The
       options may not change its model, its optimizer, or the run it started from. They may not
       ask for fewer steps than are done. A folder that holds only weights cannot resume.
    3. Otherwise a new run starts, and the defaults are the base.
    4. The options that were set replace those of the base.
    5. The dataset must be prepared, if it needs preparing.
    6. A new run with `train.init_from` must have the same model as that run, except for its loss.
       If the likelihoods differ, the new one's scale starts from its initial value.
    7. Once the model is built, `restore` loads the newest whole checkpoint, or the weights of
       rule 6.

    Args:
        changes: {dotted name: value} of the options that were set.

    Returns:
        (configuration, whether the run exists already).

    Raises:
        UserError: a rule is broken. The error names it, and both values where they differ.
    """
    if changes.get("train.strategy") == "multi_worker" and not changes.get("train.run_dir"):
        raise UserError("--train.strategy=multi_worker needs a --train.run_dir that workers share")
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = RunFolder(changes.get("train.run_dir") or f"runs/{now}")
    folder.check_writable()
    resumes = folder.exists()
    base = folder.read_config() if resumes else Config()
    if resumes:
        _check_same_model(folder, base, changes)
        _check_continues(folder, base, changes)
    config = config_flags.replace(base, {**changes, "train.run_dir": str(folder.path)})
    require_prepared(config.data, config.model)
    if resumes:
        _report_changes(base, config)
    elif config.train.init_from:
        check_init_from(config)
    return config, resumes


def _report_changes(base: Config, config: Config) -> None:
    before, now = config_flags.values(base), config_flags.values(config)
    for name, _, hint in config_flags.options(Config):
        if name != "train.run_dir" and now[name] != before[name]:
            old, new = (config_flags.to_text(v[name], hint) or "''" for v in (before, now))
            print(f"changed: --{name} from {old} to {new}")


def restore(
    config: Config, folder: RunFolder, model: "VideoPredictor", checkpoints: "Checkpoints"
) -> None:
    """Apply rule 7 of `resolve`: load the newest whole checkpoint, or another run's weights.

    Raises:
        UserError: checkpoints were saved, and none of them is whole.
    """
    path = checkpoints.restore()
    if path:
        print(f"resuming {folder.path} after step {checkpoints.step} ({path.name})")
    elif checkpoints.were_saved:
        raise UserError(f"no whole checkpoint in {folder.checkpoints}: nothing to continue from")
    elif config.train.init_from:
        start_from(config, model)
        if checkpoints.averages:
            checkpoints.averages.restart()


def start_from(config: Config, model: "VideoPredictor") -> None:
    """Load the weights of `train.init_from` into a model, without the scale of another likelihood.

    Call `check_init_from` first.

    Raises:
        UserError: as `load_run`.
    """
    theirs, source, step = load_run(config.train.init_from)
    same = theirs.model.reconstruction == config.model.reconstruction
    for weight, value in zip(_weights(model, same), _weights(source, same), strict=True):
        weight.assign(value)
    print(f"starting from the weights of {config.train.init_from}, step {step}")


def _weights(model, with_scale: bool) -> list:
    """List the weights, with or without the scale of the likelihood."""
    likelihood = getattr(model, "likelihood", None)
    own = [] if with_scale or likelihood is None else likelihood.weights
    return [weight for weight in model.weights if not any(weight is scale for scale in own)]


def check_init_from(config: Config) -> None:
    """Raise UserError unless the run `train.init_from` fits: rule 6 of `resolve`."""
    source = RunFolder(config.train.init_from)
    _check_same_model(source, source.read_config(), config_flags.values(config), LOSS_OPTIONS)
    if not checkpoint_paths(source.checkpoints) and not source.weights.is_file():
        raise UserError(f"no checkpoint and no weights.npz in {source.path}")


def _check_same_model(folder: RunFolder, stored: Config, wanted: dict, free=()) -> None:
    """Raise UserError if {dotted name: value} asks for another model, except in `free` options."""
    for name, theirs in config_flags.values(stored).items():
        if name in free:
            continue
        mine = wanted.get(name, theirs)
        if name == "model.latent_resolutions":
            theirs = stored.model.resolved_latent_resolutions
            # Reset both options together: the stored channels fit only the stored levels.
            defaults = config_flags.replace(stored, {name: None, "model.latent_channels": None})
            mine = mine or defaults.model.resolved_latent_resolutions
        if name.startswith("model.") and mine != theirs:
            raise UserError(
                f"run folder {folder.path} holds another model: "
                f"--{name} is {theirs} there, {mine} here"
            )


def _resolved(folder: str) -> str:
    """Return the real path of a folder, or '' for ''."""
    return folder and os.path.realpath(expanded(folder))


def _check_continues(folder: RunFolder, stored: Config, changes: dict) -> None:
    """Raise UserError if the changes would not continue the run."""
    new_run = f"start a new run with --train.init_from={commands.quoted(folder.path)}"
    optimizer = changes.get("train.optimizer", stored.train.optimizer)
    if optimizer != stored.train.optimizer:
        used = stored.train.optimizer
        raise UserError(f"{folder.path} is trained with {used}, not with {optimizer}: {new_run}")
    source = changes.get("train.init_from", stored.train.init_from)
    if _resolved(source) != _resolved(stored.train.init_from):
        raise UserError(
            f"--train.init_from is for new runs: {folder.path} began from "
            f"{stored.train.init_from or 'fresh weights'}, not from {source}"
        )
    if folder.weights.is_file():
        raise UserError(f"{folder.path} holds only weights, no training to resume: {new_run}")
    done = [step_of(path) for path in checkpoint_paths(folder.checkpoints)[:1]]
    steps = changes.get("train.steps", stored.train.steps)
    if done and steps < done[0]:
        rule = f"`train.steps` must be at least {done[0]}, which {folder.path} has done."
        raise UserError(f"{rule} Received: {steps}")
