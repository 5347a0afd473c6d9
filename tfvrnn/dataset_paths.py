"""Locations of prepared datasets. Imports only the standard library."""

from pathlib import Path

from tfvrnn import commands
from tfvrnn.config import SIM_PUSH_SCENES, DataConfig, ModelConfig, UserError, expanded, require

COLOUR = ("bair", "pusht", *SIM_PUSH_SCENES.values())


def prepared_folder(dataset: str, data_dir: str | Path, side: int, channels: int) -> Path:
    """Return where `tfvrnn prepare` puts a dataset of this frame shape. Versions are inside."""
    name = f"{dataset}_{side}" + ("" if channels == 3 else "_grey")
    return expanded(data_dir) / ("bair_robot_pushing_small" if dataset == "bair" else name)


def require_prepared(data: DataConfig, model: ModelConfig) -> Path | None:
    """Return the folder of the prepared dataset's version, or None if nothing needs preparing.

    Raises:
        UserError: the folder is missing. The message has the command that prepares it, or says that
            the dataset has no grey frames.
    """
    if data.dataset == "smmnist":
        return None
    folder = prepared_folder(data.dataset, data.data_dir, model.image_size, model.channels)
    folder /= "2.0.0" if data.dataset == "bair" else "1.0.0"
    if not folder.is_dir():
        rule = f"`model.channels` must be 3 for {data.dataset}, which is in colour."
        require(data.dataset not in COLOUR or model.channels == 3, rule, model.channels)
        options = {"dataset": data.dataset}
        if data.dataset == SIM_PUSH_SCENES["fixed"]:
            options = {"dataset": "sim_push", "scene": "fixed"}
        options |= {"data_dir": data.data_dir}
        options |= {} if data.dataset == "bair" else {"size": model.image_size}
        options |= {} if model.channels == 3 else {"channels": model.channels}
        options |= {"source": "SOURCE"} if data.dataset in ("cityscapes", "video_folder") else {}
        command = commands.program("prepare", **options)
        raise UserError(f"no dataset in {folder}; prepare it with: {command}")
    return folder
