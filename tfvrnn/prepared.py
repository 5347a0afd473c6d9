"""Where prepared datasets lie. Standard library only."""

from pathlib import Path

from tfvrnn.config import SIM_PUSH_SCENES, DataConfig, ModelConfig, UserError


def prepared_folder(dataset: str, data_dir: str | Path, side: int, channels: int) -> Path:
    """Where bin/prepare_data.py puts a dataset of frames of that shape; versions are in it."""
    name = f"{dataset}_{side}" + ("" if channels == 3 else "_grey")
    return Path(data_dir).expanduser() / ("bair_robot_pushing_small" if dataset == "bair" else name)


def require_prepared(data: DataConfig, model: ModelConfig) -> Path | None:
    """The folder of the prepared dataset's version; None where nothing needs preparing.

    Raises:
        UserError: it is not there, with the command that prepares it.
    """
    if data.dataset == "smmnist":
        return None
    folder = prepared_folder(data.dataset, data.data_dir, model.image_size, model.channels)
    folder /= "2.0.0" if data.dataset == "bair" else "1.0.0"
    if not folder.is_dir():
        size = "" if data.dataset == "bair" else f" --size={model.image_size}"
        size += "" if model.channels == 3 else f" --channels={model.channels}"
        size += " --source=SOURCE" if data.dataset in ("cityscapes", "video_folder") else ""
        dataset = data.dataset
        if dataset == SIM_PUSH_SCENES["fixed"]:
            dataset = "sim_push --scene=fixed"
        raise UserError(
            f"no dataset in {folder}; prepare it with: "
            f"python bin/prepare_data.py --dataset={dataset} --data_dir={data.data_dir}{size}"
        )
    return folder
