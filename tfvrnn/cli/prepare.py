"""Prepare a dataset once. After an interruption, the same command continues.

    tfvrnn prepare --dataset=video_folder --source=VIDEOS [--size=64 --frame_rate=10]
    tfvrnn prepare --dataset=video_folder --source=RECORDINGS --windows=144
    tfvrnn prepare --dataset=bair [--source=bair_robot_pushing_dataset_v0.tar]
    tfvrnn prepare --dataset=cityscapes --source=leftImg8bit_sequence_trainvaltest.zip
    tfvrnn prepare --dataset=sim_push --episodes=1000 [--scene=fixed]
    tfvrnn prepare --dataset=pusht --episodes=2000

Exit code 1: prepared, but some sources gave no video. They are listed with the reason.
Exit code 130: interrupted.
"""

import dataclasses
import sys
from dataclasses import dataclass

from tfvrnn import commands, config_flags
from tfvrnn.cli import runtime
from tfvrnn.config import SIM_PUSH_SCENES, Config, check_fields, option, require, require_at_least

SOME_SKIPPED = 1


@dataclass(frozen=True)
class Options:
    """Options of `tfvrnn prepare`."""

    dataset: str = option(
        "video_folder", "Dataset.", ("bair", "cityscapes", "video_folder", "sim_push", "pusht")
    )
    source: str = option(
        "",
        "Folder or archive to prepare from. bair: downloaded if empty. sim_push, pusht: not used.",
    )
    data_dir: str = option("data", "Folder of prepared datasets, the same as --data.data_dir.")
    size: int = option(64, "Side of the square frames; bair: always 64.")
    channels: int = option(
        3, "Channels of a frame: 1 (grey) or 3 (colour). bair, sim_push, pusht: always 3."
    )
    clip_frames: int = option(30, "video_folder: length of the clips that videos are cut into.")
    frame_rate: float = option(0.0, "video_folder: frames per second to take; 0: all frames.")
    stride: int = option(1, "video_folder: temporal stride; take every n-th of these frames.")
    whole: bool = option(
        False, "video_folder: keep the whole picture, with black borders, not its centre square."
    )
    test_fraction: float = option(
        0.1,
        "video_folder: fraction of the videos for test, unless folders train and test divide "
        "them. With --windows: fraction of the time.",
    )
    windows: int = option(
        0,
        "video_folder: average pictures down to this height in pixels, then cut them into windows "
        "of --size, at least half a window apart. Every video is split by time. 0: no windows.",
    )
    episodes: int = option(1000, "sim_push, pusht: episodes for training.")
    test_episodes: int | None = option(
        None,
        "sim_push, pusht: episodes for test; none: a tenth of --episodes for sim_push, 256 for "
        "pusht.",
    )
    seed: int = option(0, "sim_push, pusht: seed of the episodes.")
    scene: str = option(
        "varied",
        "sim_push: varied draws camera, light and table for every episode. fixed keeps them the "
        "same in all; in training this is the dataset sim_push_fixed.",
        tuple(SIM_PUSH_SCENES),
    )
    workers: int | None = option(
        None, "sim_push, pusht: processes that simulate; none: one per core."
    )

    def __post_init__(self):
        check_fields(self)
        require_at_least(self, 2, "clip_frames")  # one is given, one is predicted
        require_at_least(self, 1, "stride", "episodes", "test_episodes", "workers")
        known = self.size >= 8 and self.size & (self.size - 1) == 0
        require(
            known,
            "`size` must be 8 times a power of two (8, 16, 32, ...), as models need.",
            self.size,
        )
        require_at_least(self, 0, "seed", "frame_rate", "windows")
        require(self.channels in (1, 3), "`channels` must be 1 or 3.", self.channels)
        require(
            0 < self.test_fraction < 1, "`test_fraction` must lie between 0 and 1.",
            self.test_fraction,
        )  # fmt: skip
        needs = self.dataset in ("cityscapes", "video_folder")
        require(
            bool(self.source) or not needs,
            "`source` must name a folder, or an archive for cityscapes.",
            repr(self.source),
        )
        require(
            self.dataset != "bair" or (self.size, self.channels) == (64, 3),
            "bair is 64x64 in colour.",
            f"{self.size}, {self.channels} channels",
        )
        require(
            self.scene == "varied" or self.dataset == "sim_push",
            "only sim_push has a `scene`.",
            f"{self.scene} for {self.dataset}",
        )
        self._check_windows()

    def _check_windows(self):
        if not self.windows:
            return
        rule = "only video_folder has `windows`."
        require(self.dataset == "video_folder", rule, f"{self.windows} for {self.dataset}")
        require(
            self.windows >= self.size,
            "`windows` must be 0 or at least `size`: a window must fit into the picture.",
            f"windows={self.windows}, size={self.size}",
        )
        rule = "`windows` and `whole` exclude each other: windows cover the whole picture."
        require(not self.whole, rule, f"windows={self.windows}, whole={self.whole}")

    @property
    def trained_as(self) -> str:
        """Value of --data.dataset that reads the prepared dataset."""
        return SIM_PUSH_SCENES[self.scene] if self.dataset == "sim_push" else self.dataset

    @property
    def flagfile(self) -> str:
        """Flagfile of the package for the dataset."""
        if self.dataset == "cityscapes":
            return "cityscapes128.flags" if self.size >= 128 else "cityscapes64.flags"
        return f"{self.dataset}.flags"


def training_command(wanted: Options) -> str:
    """Return the command that trains on the dataset, with frames that fit its clips."""
    model = f"--flagfile={config_flags.SHIPPED / wanted.flagfile}"
    config = config_flags.replace(Config(), config_flags.parse_changes([model], Config))
    given, options = config.model.context_frames, {}
    if wanted.dataset == "video_folder" and wanted.clip_frames < given + config.data.horizon:
        if wanted.clip_frames <= given:
            given = options["model__context_frames"] = wanted.clip_frames - 1
        options["data__horizon"] = wanted.clip_frames - given
    return commands.program(
        "train",
        flagfile=wanted.flagfile,
        data__dataset=wanted.trained_as,
        data__data_dir=wanted.data_dir,
        model__image_size=wanted.size,
        model__channels=wanted.channels,
        **options,
    )


def main(arguments: list[str]) -> None:
    wanted = config_flags.build(Options, config_flags.parse_changes(arguments, Options))

    from tfvrnn.data.prepare import prepare  # TensorFlow takes seconds to import

    with runtime.resumable():
        prepared = prepare(wanted.dataset, dataclasses.asdict(wanted))
    counts = ", ".join(f"{split} {count}" for split, count in prepared.videos.items())
    print(f"{prepared.folder}: {counts}")
    print(f"next:\n  {training_command(wanted)}")
    for name, reason in prepared.skipped:
        print(f"left out: {name}: {reason}", file=sys.stderr)
    if prepared.skipped:
        print(f"to try those again, move {prepared.folder} away", file=sys.stderr)
        sys.exit(SOME_SKIPPED)
