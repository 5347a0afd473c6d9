"""Train and sample on an accelerator through Keras' JAX backend, and measure how fast.

    python benchmarks/accelerator.py [--model.width=64 …] [--modes=float32,tf32,bf16]
        [--peer_python=PYTHON] [--rounds=3]
    python benchmarks/accelerator.py --plan=1 [--train.remat …]     # only the train step's memory
    python benchmarks/accelerator.py --train=CLIPS.npz --out=FOLDER --minutes=8 --flagfile=…

It needs only JAX, Keras and this package's files. So it also runs on accelerators for which
TensorFlow has no build. It prints one JSON line per mode: frames/s, share of the accelerator's
measured bfloat16 peak, memory. With `--peer_python`, the PyTorch peer of benchmarks/peers/ does the
same work in between, on the same device and in the same mode. The default is the paper's size. With
`--plan`, the step is compiled and not run: this shows the memory that XLA plans to need, even if
the device does not have it.

With `--train`, a model is trained on a file of clips.py and written into FOLDER, with its weights
in float16; `tfvrnn sample --run_dir=FOLDER` reads it. `--minutes` counts the compilation.
"""

import os

os.environ["KERAS_BACKEND"] = "jax"
# Allocate memory on demand, so that the peer finds some and the peak is meaningful.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import json
import statistics
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import common
import jax_training

from tfvrnn import config_flags
from tfvrnn.cli import runtime
from tfvrnn.config import Config, DataConfig, ModelConfig, require

ROUNDS, REPEATS = 3, 5
DEFAULT = Config(model=ModelConfig(), data=DataConfig(batch_size=16, horizon=10))
# mode: (dtype policy, precision of float32 products)
MODES = {
    "float32": ("float32", "highest"),
    "tf32": ("float32", "tensorfloat32"),
    "bf16": ("mixed_bfloat16", "tensorfloat32"),
}


def main(arguments):
    given = {}
    for name in ("modes", "peer_python", "rounds", "plan", "train", "out", "minutes"):
        given[name], arguments = common.take(name, arguments)
    clips, modes = given["train"], (given["modes"] or ",".join(MODES)).split(",")
    require(set(modes) <= set(MODES), f"`--modes` must be of {', '.join(MODES)}.", given["modes"])
    minutes = common.number("minutes", given["minutes"], 8)
    rounds = int(common.number("rounds", given["rounds"], ROUNDS))
    start = Config() if clips else DEFAULT
    config = config_flags.replace(start, config_flags.parse_changes(arguments, Config))
    if clips:
        require(bool(given["out"]), "`--out` must name a folder.", given["out"])
        found = jax_training.train(config, Path(clips), minutes, Path(given["out"]))
        print(json.dumps(found))
    elif given["plan"]:
        for mode in modes:
            print(json.dumps(planned(mode, config)), flush=True)
    else:
        compare_modes(modes, config, given["peer_python"], rounds)


def compare_modes(modes, config, peer, rounds) -> None:
    """Compile all modes at once, then measure one after another and print the reports."""
    import jax
    import roofline

    with ThreadPoolExecutor(len(modes)) as threads:
        prepared = list(threads.map(lambda mode: prepare(mode, config), modes))
    flops = count_flops(prepared[0][0], config)
    peak = roofline.peak_flops("bfloat16", side=8192 if on_accelerator() else 1024)
    for mode, (_, *compiled) in zip(modes, prepared):
        try:
            report = measure(mode, compiled, config, flops, peak, peer, rounds)
        except jax.errors.JaxRuntimeError as error:  # too little memory, for example
            report = {"mode": mode, "error": str(error).splitlines()[0]}
        print(json.dumps(report), flush=True)


def on_accelerator() -> bool:
    import jax

    return jax.default_backend() != "cpu"


def planned(mode, config) -> dict:
    """Report the memory that the compiled train step of one mode plans."""
    import jax

    policy, products = MODES[mode]
    with jax.default_matmul_precision(products):
        _, memory = make_train(jax_training.build(config, policy), config)
    device = jax.devices()[0].device_kind
    size = memory()["planned_gib"]
    return {"device": device, "mode": mode, "remat": config.train.remat, "planned_gib": size}


def prepare(mode, config):
    """Compile one mode: (model, train function, its memory, sampling function)."""
    import jax

    policy, products = MODES[mode]
    with jax.default_matmul_precision(products):
        model = jax_training.build(config, policy)
        train, memory = make_train(model, config)
        return model, train, memory, make_sample(model, config)


def measure(mode, compiled, config, flops, peak, peer, rounds) -> dict:
    """Measure one mode and return its report."""
    import jax

    train, memory, sample = compiled
    frames = config.data.batch_size * config.frames
    ours, samples, theirs = [], [], []
    for _ in range(rounds):
        ours.append(common.median_time(train, REPEATS))
        samples.append(common.median_time(sample, REPEATS))
        if peer:
            theirs.append(common.run_peer(peer, config, REPEATS, mode, on_accelerator()))
    speed = frames / statistics.median(ours)
    sampled = config.data.batch_size * config.data.horizon / statistics.median(samples)
    report = {
        "device": jax.devices()[0].device_kind,
        "mode": mode,
        "remat": config.train.remat,
        "train_frames_per_s": round(speed, 1),
        "sample_frames_per_s": round(sampled, 1),
        "gflop_a_frame": round(flops / 1e9, 1),
        "peak_bf16_tflops": round(peak / 1e12, 1),
        "share_of_bf16_peak": round(speed * flops / peak, 3),
        **memory(),
    }
    return report | (compare(report, theirs, config) if peer else {})


def count_flops(model, config) -> float:
    """Count the operations of a train step per frame, without computing anything."""
    import jax
    import roofline

    counts = []
    jax.eval_shape(lambda: counts.append(roofline.training_flops(model, config.data.horizon)))
    return counts[0] / config.frames


def compare(report, theirs, config) -> dict:
    train = statistics.median(found["train_frames_per_s"] for found in theirs)
    seconds = statistics.median(found["sample_stateful_s"] for found in theirs)
    sample = config.data.batch_size * config.data.horizon / seconds
    return {
        "peer_train_frames_per_s": round(train, 1),
        "peer_sample_frames_per_s": round(sample, 1),
        "peer_peak_gib": theirs[-1]["peak_gib"],
        "train_ratio": round(report["train_frames_per_s"] / train, 2),
        "sample_ratio": round(report["sample_frames_per_s"] / sample, 2),
    }


def make_train(model, config):
    """Make (function that takes one step and waits for it, function that reports its memory)."""
    import jax
    from jax import numpy as jnp

    shape = (config.frames, *model.image_shape)
    steps = jax_training.make_steps(
        model, config, lambda _, key, batch, __: jax.random.uniform(key, (batch, *shape)), count=1
    )
    progress, rate = jax_training.first_progress(model), jnp.float32(config.train.learning_rate)
    step = jax.jit(steps, donate_argnums=0).lower(progress, {}, jax.random.key(1), rate).compile()
    keys = iter(jax.random.split(jax.random.key(2), 10_000))
    progress = None  # no memory is taken while another mode is measured

    def run():
        nonlocal progress
        progress = progress or jax_training.first_progress(model)
        progress, terms = step(progress, {}, next(keys), rate)
        return float(terms["loss"])

    def memory():
        planned = step.memory_analysis()
        size = planned.temp_size_in_bytes + planned.argument_size_in_bytes
        used = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)
        return {"planned_gib": round(size / 2**30, 2), "peak_gib": round(used / 2**30, 2)}

    return run, memory


def make_sample(model, config):
    """Make a function that draws a batch of futures in one compiled loop and waits for them."""
    import jax
    import keras
    from jax import numpy as jnp

    batch, horizon = config.data.batch_size, config.data.horizon
    context = jnp.zeros((batch, model.context_frames, *model.image_shape))
    # The weights are arguments: as constants they would be part of the program.
    weights = jax_training.on_device(model.trainable_variables)

    @jax.jit
    def draw(weights, key):
        noise = [jax.random.normal(key, shape) for shape in model.noise_shapes(batch, horizon)]
        noise = [jnp.moveaxis(z, 1, 0) for z in noise]
        with keras.StatelessScope(state_mapping=[*zip(model.trainable_variables, weights)]):
            return jax.lax.scan(model.step, model.begin(context), noise)[1]

    draw = draw.lower(weights, jax.random.key(0)).compile()
    return lambda: draw(weights, jax.random.key(0)).block_until_ready()


if __name__ == "__main__":
    runtime.run(main, __doc__, keras_backend="jax")
