"""Measure the effect of each difference of protocol on FVD, on clips of one dataset.

    python benchmarks/fvd_differences.py --out=FOLDER [--dataset=pusht --data_dir=data --docs=docs]

Two sets of N clips of the test split, A and B, are real. The third, M, stands for a model: the
clips of B, blurred more and more after the context. Each row changes one thing in the protocol:

    same: FVD of A against A itself, with the change on one side only
    real: A against B, with the change on both sides
    model: A against M, with the change on both sides
    model_only: A against M, with the change on M only

Features and distances are those of `tfvrnn measure`. An interrupted run continues with the same
command. The record is DOCS/recorded/fvd_differences_<dataset>.json. Its table is printed, and put
between its marks in DOCS/why_fvds_differ.md. Without `--docs`, both go to OUT/docs.
"""

import dataclasses
import functools
import json
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import common
from reproduce import markdown, place_of

import tfvrnn
from tfvrnn import config_flags, files, media
from tfvrnn.cli import runtime
from tfvrnn.config import (
    Config,
    DataConfig,
    MeasureConfig,
    ModelConfig,
    UserError,
    option,
    require,
    require_at_least,
)

CONTEXT, HORIZON, SIDE = 2, 28, 64
BASE = {"start": CONTEXT, "frames": 16, "color": "rgb", "lpips": "none"}
BLUR = 1.5  # standard deviation of the last frame's blur, pixels
SETS = ("A", "B", "M")
FRAMES_PER_SECOND = 10
HEADS = {
    "same": "the same clips, one side changed",
    "real": "real against real",
    "model": "model against real",
    "model_only": "model changed, real not",
}


@dataclass(frozen=True)
class Row:
    """One difference of protocol: other options than `BASE`, changed clips, or both.

    share: share of the N clips.
    alike: whether changed and unchanged clips can be compared.
    """

    options: dict = field(default_factory=dict)
    change: str = ""
    share: float = 1.0
    alike: bool = True


ROWS = {
    "none: 16 frames after the context, 64x64": Row(),
    "to 224 by Pillow's bilinear, not in I3D": Row({"size": 224, "filter": "bilinear"}),
    "to 224 by Pillow's bicubic": Row({"size": 224, "filter": "bicubic"}),
    "to 224 by Pillow's Lanczos": Row({"size": 224, "filter": "lanczos"}),
    "to 224 by nearest neighbour": Row({"size": 224, "filter": "area"}),  # the same when enlarging
    "down to 24, area": Row({"size": 24, "filter": "area"}),
    "down to 24, bilinear with antialias": Row({"size": 24, "filter": "bilinear"}),
    "down to 24, bicubic with antialias": Row({"size": 24, "filter": "bicubic"}),
    "down to 24, bilinear without antialias": Row(change="plain_bilinear"),
    "down to 24, bicubic without antialias": Row(change="plain_bicubic"),
    "down to 24, nearest neighbour": Row(change="nearest"),
    "the context and 14 frames": Row({"start": 0}, alike=False),
    "10 frames": Row({"frames": 10}, alike=False),
    "28 frames": Row({"frames": HORIZON}, alike=False),
    "the context and 28 frames": Row({"start": 0, "frames": CONTEXT + HORIZON}, alike=False),
    "N / 2": Row(share=1 / 2, alike=False),
    "N / 4": Row(share=1 / 4, alike=False),
    "N / 8": Row(share=1 / 8, alike=False),
    "JPEG, quality 95": Row(change="jpeg_95"),
    "JPEG, quality 75": Row(change="jpeg_75"),
    "MP4 (H.264), crf 18": Row(change="mp4_18"),
    "MP4 (H.264), crf 23": Row(change="mp4_23"),
    "MP4 (H.264), crf 28": Row(change="mp4_28"),
}


@dataclass(frozen=True)
class DifferencesConfig:
    """Options of benchmarks/fvd_differences.py."""

    out: str = option("runs/fvd_differences", "Folder of clips and features.")
    dataset: str = option("pusht", "Dataset of the clips.")
    data_dir: str = option("data", "Folder of prepared datasets.")
    split: str = option("test", "Split of the dataset.", ("test", "validation"))
    clips: int = option(128, "N, the number of clips in each of the three sets.")
    docs: str = option("", "Folder of the record and the page; empty: OUT/docs.")

    def __post_init__(self):
        require_at_least(self, 16, "clips")
        require(self.clips % 8 == 0, "`clips` must divide by 8.", self.clips)


def main(arguments):
    wanted = DifferencesConfig(**config_flags.parse_changes(arguments, DifferencesConfig))
    docs, page_name = Path(wanted.docs or f"{wanted.out}/docs"), "why_fvds_differ.md"
    (docs / "recorded").mkdir(parents=True, exist_ok=True)
    page, mark = docs / page_name, f"fvd_differences_{wanted.dataset}"
    if page.exists():
        place_of(mark, page)  # fails before an hour of work
    record = record_of(wanted, docs / "recorded" / f"{mark}.json")
    text = table(record)
    if page.exists():
        place, old = place_of(mark, page), page.read_text("utf-8")
        page.write_text(f"{old[: place.start]}{text}{old[place.stop :]}", encoding="utf-8")
    print(text)


def record_of(wanted: DifferencesConfig, path: Path) -> dict:
    """Read the record, after measuring its missing rows and writing them one by one."""
    asked = {"dataset": wanted.dataset, "split": wanted.split, "clips": wanted.clips}
    record = {"asked": asked, "machine": common.machine(), "version": tfvrnn.__version__}
    record |= {"rows": {}}
    if path.exists():
        record = json.loads(path.read_text("utf-8"))
    if record["asked"] != asked:
        raise UserError(f"{path} is of {record['asked']}, not of {asked}; choose another --docs")
    missing = [name for name in ROWS if name not in record["rows"]]
    if missing:
        bench = Bench(wanted)
        record["i3d_sha256"] = bench.network.digest
        for name in missing:
            print(name, file=sys.stderr)
            record["rows"][name] = bench.measure(ROWS[name])
            files.write_whole(path, (json.dumps(record, indent=1) + "\n").encode())
    return record


class Bench:
    """Measures the three sets of clips and their features, as `tfvrnn measure` does."""

    def __init__(self, wanted: DifferencesConfig):
        from tfvrnn import metrics
        from tfvrnn.measurement.parts import Parts

        self.clips, self.out = wanted.clips, Path(wanted.out)
        self.network = metrics.feature_network()
        self.folder = self.out / "clips" / f"{wanted.dataset}_{wanted.split}_{wanted.clips}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.parts = Parts(self.out / "parts")
        if not all((self.folder / f"{name}.npy").is_file() for name in SETS):
            write_sets(wanted, self.folder)
        self.base = functools.cache(lambda name: self.features(name, Row()))

    def measure(self, row: Row) -> dict:
        """Measure {column: {fvd, kvd: {value, deviation, clips}}} of a row's columns."""
        a, b, m = (self.features(name, row) for name in SETS)
        pairs = {"real": (a, b), "model": (a, m)}
        if row.alike and row != Row():
            pairs |= {"same": (self.base("A"), a), "model_only": (self.base("A"), m)}
        found = {column: distances(*pair) for column, pair in pairs.items()}
        for figure in found.get("same", {}).values():
            # The random halves of the two sides would hold different clips.
            figure["deviation"] = None
        return found

    def features(self, name: str, row: Row):
        """Compute the features of a set under a row, or read them from `OUT/parts`."""
        if row.share < 1:
            return self.base(name)[: round(self.clips * row.share)]
        from tfvrnn.measurement.features import features_of
        from tfvrnn.measurement.selection import select
        from tfvrnn.measurement.sides import open_side
        from tfvrnn.measurement.survey import survey

        settings = MeasureConfig(**BASE | row.options)
        source, changed = self.folder / f"{name}.npy", self.folder / "changed"
        if row.change:
            change_set(source, changed, row.change)
            source = changed if row.change.startswith("mp4") else changed / "clips.npy"
        side = open_side("real", source, "", False, self.out)
        selection = select([side], [survey(side, settings, self.parts)], settings)
        (one,) = selection.sides
        features = features_of(one, selection.reading, self.network, self.parts)
        shutil.rmtree(changed, ignore_errors=True)
        return features


def distances(real, generated) -> dict:
    from tfvrnn.measurement import figures

    found = figures.distances(real, generated, MeasureConfig().subsets, seed=0)
    return {
        name: {key: found[name][key] for key in ("value", "deviation")} | {"clips": len(real)}
        for name in ("fvd", "kvd")
    }


def write_sets(wanted: DifferencesConfig, folder: Path):
    """Write A, B and M as arrays."""
    import numpy as np

    from tfvrnn.data import first_videos

    channels = 1 if wanted.dataset == "smmnist" else 3
    config = Config(
        model=ModelConfig(image_size=SIDE, channels=channels, context_frames=CONTEXT),
        data=DataConfig(dataset=wanted.dataset, data_dir=wanted.data_dir, horizon=HORIZON),
    )
    data = dataclasses.replace(config.data, batch_size=2 * wanted.clips)
    videos = first_videos(data, config.model, wanted.split, 2 * wanted.clips)
    a, b = np.split(videos, 2)
    for name, clips in zip(SETS, (a, b, np.stack([like_a_model(clip) for clip in b]))):
        np.save(folder / f"{name}.npy", clips)


def like_a_model(clip):
    """Keep the context, and blur each later frame more than the one before."""
    from PIL import ImageFilter

    blurs = [BLUR * max(0, time + 1 - CONTEXT) / HORIZON for time in range(len(clip))]
    return by_picture(clip, lambda picture, k: picture.filter(ImageFilter.GaussianBlur(blurs[k])))


def change_set(source: Path, target: Path, change: str):
    """Write the changed clips of an array into a folder: as MP4 files, or as clips.npy."""
    import numpy as np

    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    clips = np.load(source, mmap_mode="r")
    kind, _, strength = change.partition("_")
    if kind == "mp4":
        for number, clip in enumerate(clips):
            path = target / f"{number:06}.mp4"
            media.write_video(path, clip, FRAMES_PER_SECOND, crf=int(strength))
        return
    changed = {"jpeg": lambda clip: jpeg(clip, int(strength))}.get(kind, CHANGES.get(change))
    np.save(target / "clips.npy", np.stack([changed(clip) for clip in clips]))


def jpeg(clip, quality: int):
    import io

    from PIL import Image

    def again(picture, _):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer)

    return by_picture(clip, again)


def by_picture(clip, change):
    """Apply `change(picture, number)` to every frame of a clip as a Pillow picture."""
    import numpy as np
    from PIL import Image

    grey = clip.shape[-1] == 1
    pictures = [Image.fromarray(frame[..., 0] if grey else frame) for frame in clip]
    changed = np.stack([np.asarray(change(p, k)) for k, p in enumerate(pictures)])
    return changed[..., None] if grey else changed


def without_antialias(clip, method: str, side: int = 24):
    """Resize without antialiasing, the default of `tf.image.resize` and of PyTorch."""
    import numpy as np
    import tensorflow as tf

    resized = tf.image.resize(np.asarray(clip, np.float32), (side, side), method)
    return np.clip(np.rint(resized.numpy()), 0, 255).astype(np.uint8)


CHANGES = {
    "plain_bilinear": functools.partial(without_antialias, method="bilinear"),
    "plain_bicubic": functools.partial(without_antialias, method="bicubic"),
    "nearest": functools.partial(without_antialias, method="nearest"),
}


def table(record: dict) -> str:
    """Format Markdown with a row per difference: FVD ± its deviation over halves of the clips."""
    lines = [["difference", "N", *HEADS.values()], ["---"] * (2 + len(HEADS))]
    for name, columns in record["rows"].items():
        cells = [_cell(columns.get(column)) for column in HEADS]
        lines.append([name, f"{columns['real']['fvd']['clips']}", *cells])
    return markdown(lines)


def _cell(found: dict | None) -> str:
    if found is None:
        return ""
    fvd = found["fvd"]
    text = f"{fvd['value']:.1f}"
    return text if fvd["deviation"] is None else f"{text} ± {fvd['deviation']:.1f}"


if __name__ == "__main__":
    runtime.run(main, __doc__, DifferencesConfig)
