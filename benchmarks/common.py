"""Shared parts of the benchmarks: the machine, medians, the PyTorch peer."""

import json
import os
import platform
import statistics
import subprocess
import time
from pathlib import Path

from tfvrnn.config import require

PEER = Path(__file__).parent / "peers" / "torch_peer.py"


def take(name: str, arguments: list[str]) -> tuple[str | None, list[str]]:
    """Take an option: return (value of --name, the other arguments)."""
    start = f"--{name}="
    value = next((a.removeprefix(start) for a in arguments if a.startswith(start)), None)
    return value, [a for a in arguments if not a.startswith(start)]


def number(name: str, text: str | None, default: float) -> float:
    """Convert the value of --name to a positive number.

    Raises:
        UserError: it is not a positive number.
    """
    try:
        value = default if text is None else float(text)
    except ValueError:
        value = 0.0
    require(value > 0, f"`--{name}` must be a positive number.", text)
    return value


def timed(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def median_time(function, repeats: int) -> float:
    """Return the median seconds of `repeats` calls, after one warm-up call."""
    function()
    return statistics.median(timed(function) for _ in range(repeats))


def run_peer(python: str, config, repeats: int, mode: str = "float32", cuda: bool = False) -> dict:
    """Run the PyTorch peer at a configuration's size, in mode float32, tf32 or bf16."""
    model, data = config.model, config.data
    options = {
        "width": model.width,
        "batch": data.batch_size,
        "context": model.context_frames,
        "horizon": data.horizon,
        "size": model.image_size,
        "channels": model.channels,
        "groups": model.groups,
        "repeats": repeats,
        "mode": mode,
        "device": "cuda" if cuda else "cpu",
        "latents": ",".join(map(str, model.resolved_latent_resolutions)),
    }
    command = [python, str(PEER), *(f"--{name}={value}" for name, value in options.items())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def machine() -> str:
    """Return the processor's name and the number of cores in use."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def records(events: Path, tag: str) -> tuple[list[int], list[float]]:
    """Read the steps and values that a run wrote under a tag of TensorBoard, if it wrote any.

    Args:
        events: folder of the event files, `tensorboard/train` or `tensorboard/validation`.
    """
    if not events.is_dir():
        return [], []
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(events), {"tensors": 0})  # all of them, not a sample
    accumulator.Reload()
    if tag not in accumulator.Tags()["tensors"]:
        return [], []
    found = accumulator.Tensors(tag)
    return [e.step for e in found], [float(tf.make_ndarray(e.tensor_proto)) for e in found]
