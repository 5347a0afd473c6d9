"""Time the export: writing it, loading it, and calling it, beside calls of the live model.

    python benchmarks/export.py [--model.width=16 …]

It prints one JSON line. The calls use the signature `serving_default`, without a server.
"""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import common

from tfvrnn import backend, config_flags
from tfvrnn.cli import runtime
from tfvrnn.config import Config, DataConfig, ModelConfig

REPEATS, BATCHES = 5, (1, 4)
DEFAULT = Config(model=ModelConfig(width=16), data=DataConfig(horizon=10))


def main(arguments):
    config = config_flags.replace(DEFAULT, config_flags.parse_changes(arguments, Config))
    backend.divide_cores()
    import tensorflow as tf

    from tfvrnn.models import build_model
    from tfvrnn.serving.export import export_model

    model, horizon, found = build_model(config.model), config.data.horizon, {}

    def export(base):
        found["version"] = export_model(model, base, horizon, max_batch=max(BATCHES))

    def load():
        found["loaded"] = tf.saved_model.load(str(found["version"]))

    with tempfile.TemporaryDirectory() as base:
        report = {"machine": common.machine()}
        report["export_s"] = round(common.timed(lambda: export(base)), 1)
        files = [path for path in found["version"].rglob("*") if path.is_file()]
        report["export_mb"] = round(sum(path.stat().st_size for path in files) / 1e6, 1)
        report["load_s"] = round(common.timed(load), 1)
        for batch in BATCHES:
            report |= calls(model, found["loaded"], horizon, batch)
        print(json.dumps(report))


def calls(model, loaded, horizon, batch) -> dict:
    """Measure the seconds of a call of the export, and of the same sampling by the live model."""
    import tensorflow as tf

    from tfvrnn.sampling import sample_videos

    serve = loaded.signatures["serving_default"]
    shape = (batch, model.context_frames, *model.image_shape)
    frames, seed = tf.zeros(shape, tf.uint8), tf.range(batch)
    exported = common.median_time(lambda: serve(frames=frames, seed=seed), REPEATS)
    live = common.median_time(lambda: sample_videos(model, frames, horizon, seed), REPEATS)
    return {
        f"exported_batch_{batch}_s": round(exported, 3),
        f"live_batch_{batch}_s": round(live, 3),
    }


if __name__ == "__main__":
    runtime.run(main, __doc__)
