"""The protocol: everything on which the figures of an evaluation depend."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tfvrnn
from tfvrnn import config_flags
from tfvrnn.config import Config, EvalConfig, UserError
from tfvrnn.metrics import LPIPS, FeatureNetwork
from tfvrnn.metrics.frame import PSNR_OF_EQUAL_FRAMES
from tfvrnn.metrics.i3d import LEAST_FRAMES
from tfvrnn.metrics.weights import digest
from tfvrnn.models import VideoPredictor
from tfvrnn.reporting.protocols import code_digest, differences, read_json, section

# Options on which no figure depends. Training videos are augmented, test videos are not.
SETTINGS_ASIDE = ("name", "cache_dir", "lpips_trunk")
DATA_ASIDE = (
    *("horizon", "batch_size", "workers", "service", "data_dir"),
    *("flip", "color_jitter", "crop"),
)


def make_protocol(
    config: Config,
    model: VideoPredictor,
    step: int,
    lpips: LPIPS | None,
    network: FeatureNetwork | None,
) -> dict[str, Any]:
    """Make the protocol of evaluating a model, which is saved beside the figures.

    Args:
        config: of the run, with the settings of the evaluation.
        model: with its weights, after `step` steps.
        lpips: None disables the measure.
        network: of the FVD. None disables the measure.

    Returns:
        {'model': what is measured, 'data': on which videos, 'settings': how, 'code_version' and
        'code_sha256': with which version}, in values for JSON.
    """
    settings, horizon = config.eval, config.eval.horizon or config.data.horizon
    weights = {str(k): weight.numpy() for k, weight in enumerate(model.weights)}
    protocol = {
        "model": {
            **config_flags.values(config.model),
            "parameters": model.count_params(),
            "step": step,
            "weights": "moving averages" if config.train.average_decay else "last",
            "weights_sha256": digest(weights),
        },
        "data": {
            **_without(config_flags.values(config.data), DATA_ASIDE),
            "context_frames": model.context_frames,
            "image_shape": list(model.image_shape),
        },
        "settings": {
            **_without(config_flags.values(settings), SETTINGS_ASIDE),
            "horizon": horizon,
            # What is measured, not what was requested.
            "lpips": settings.lpips if lpips else "none",
            "fvd_network": settings.fvd_network if network else "none",
            "psnr_of_equal_frames": PSNR_OF_EQUAL_FRAMES,
            "lpips_sha256": lpips.digest if lpips else None,
            "fvd_frames": fvd_frames(settings, model.context_frames, horizon) if network else None,
            "fvd_sha256": network.digest if network else None,
        },
        "code_version": tfvrnn.__version__,
        "code_sha256": code_digest(),
    }
    return json.loads(json.dumps(protocol))


def fvd_frames(settings: EvalConfig, context_frames: int, horizon: int) -> int:
    """Return the number of frames of the clips for FVD."""
    return horizon + (context_frames if settings.fvd_context else 0)


def fvd_hindrance(settings: EvalConfig, context_frames: int, horizon: int) -> str:
    """Say why the FVD cannot be measured, or return ''."""
    frames = fvd_frames(settings, context_frames, horizon)
    if frames < LEAST_FRAMES:
        remedy = "raise --eval.horizon"
        if context_frames + horizon >= LEAST_FRAMES:
            remedy += ", or set --eval.fvd_context"
        return f"it needs clips of {LEAST_FRAMES} frames, these have {frames}: {remedy}"
    if settings.videos < 2:
        return "it needs at least two videos"
    return ""


def protocol_name(config: Config) -> str:
    """Return the name of a result, derived from what is measured."""
    settings, data = config.eval, config.data
    horizon = settings.horizon or data.horizon
    lengths = f"{config.model.context_frames}to{horizon}"
    split = "" if settings.split == "test" else f"_{settings.split}"
    warmth = "" if settings.temperature == 1.0 else f"_t{settings.temperature:g}"
    plain = f"{data.dataset}_{lengths}_{settings.videos}x{settings.samples}{split}{warmth}"
    return settings.name or plain


def read_settings(path: str | Path, config: Config) -> Config:
    """Return the configuration with the settings and data of an earlier result's protocol.

    Raises:
        UserError: no such file, or no result in it.
    """
    protocol = section(read_json(path), "protocol")
    known = {f"eval.{name}" for name in config_flags.values(config.eval)}
    known |= {f"data.{name}" for name in config_flags.values(config.data)}
    protocol = _relevant(protocol)
    sections = {"eval": section(protocol, "settings"), "data": section(protocol, "data")}
    changes = {
        f"{section}.{name}": value
        for section, values in sections.items()
        for name, value in values.items()
        if f"{section}.{name}" in known
    }
    if not changes:
        raise UserError(f"{path} holds no protocol")
    try:
        return config_flags.replace(config, changes)
    except (TypeError, AttributeError, UserError) as error:
        raise UserError(f"{path} holds no protocol: {error}") from None


def protocol_differences(ours: dict, theirs: dict, sections: Sequence[str]) -> list[str]:
    """List the entries that differ, apart from those of earlier versions that do not matter."""
    return differences(_relevant(ours), _relevant(theirs), sections)


def _relevant(protocol: dict) -> dict:
    return {**protocol, "data": _without(section(protocol, "data"), DATA_ASIDE)}


def check_alike(protocols: Sequence[tuple[str, dict]]) -> None:
    """Raise UserError if models (name, protocol) would be measured under different rules."""
    (first, ours), *others = protocols
    for name, theirs in others:
        found = protocol_differences(ours, theirs, ("data", "settings"))
        if found:
            raise UserError(f"{first} and {name} have different protocols: {'; '.join(found)}")


def _without(values: dict, names) -> dict:
    return {name: value for name, value in values.items() if name not in names}
