"""Kill a short run at random moments until it ends; it must end as if never disturbed.

    python tests/faults/kill_loop.py [--kills=50] [--seed=0] [options of bin/train.py]

SIGKILL falls at any time: while TensorFlow is imported, in a step, in the middle of a checkpoint.
The program prints one line per kill, and whether the weights at the end are equal to the last bit.
It exits with 1 if they are not, or if there were fewer kills.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

STEPS_PER_KILL, LAST_STEPS = 12, 60
OPTIONS = [
    "--model.image_size=8", "--model.channels=1", "--model.width=8", "--model.groups=2",
    "--model.latent_resolutions=1", "--data.digits=1", "--data.horizon=2",
    "--data.batch_size=4", "--train.learning_rate=1e-3", "--train.average_decay=0.9",
    "--train.checkpoint_every=3", "--train.validate_every=1000000",
    "--train.validation_videos=2", "--train.pictures=0", "--train.deterministic",
]  # fmt: skip


def start(folder, steps, options):
    where = [f"--train.run_dir={folder}", f"--train.steps={steps}"]
    command = [sys.executable, ROOT / "bin" / "train.py", *where, *OPTIONS, *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def newest(folder) -> int:
    from tfvrnn.runs import checkpoint_paths

    paths = checkpoint_paths(folder / "checkpoints")
    return int(paths[0].name.removeprefix("ckpt-")) if paths else 0


def wait(process, folder, goal, rng):
    """Wait until just after the checkpoint of step `goal`; one time in five, seconds at most."""
    patience = rng.uniform(0, 15) if rng.random() < 0.2 else float("inf")
    began = time.monotonic()
    while newest(folder) < goal and time.monotonic() - began < patience:
        if process.poll() is not None:
            return
        time.sleep(0.01)
    time.sleep(rng.uniform(0, 0.3))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    wanted, options = parser.parse_known_args()
    rng, steps = random.Random(wanted.seed), STEPS_PER_KILL * wanted.kills + LAST_STEPS
    goals = sorted(rng.randrange(STEPS_PER_KILL * wanted.kills) for _ in range(wanted.kills))
    with tempfile.TemporaryDirectory() as root:
        calm, disturbed = Path(root) / "calm", Path(root) / "disturbed"
        seldom = [*options, f"--train.checkpoint_every={steps}"]  # the weights do not depend on it
        if start(calm, steps, seldom).wait() != 0:
            sys.exit("the undisturbed run failed")
        for kill, goal in enumerate(goals):
            process = start(disturbed, steps, options)
            wait(process, disturbed, goal, rng)
            if process.poll() is not None:
                sys.exit(f"the run ended with code {process.returncode} after {kill} kills")
            process.kill()
            process.wait()
            print(f"kill {kill + 1}: newest checkpoint {newest(disturbed)}", flush=True)
        if start(disturbed, steps, options).wait() != 0:
            sys.exit("the disturbed run could not be ended")
        compare(calm, disturbed, steps)


def compare(calm, disturbed, steps):
    import numpy as np

    from tfvrnn.runs import load_run

    (_, one, step), (_, other, other_step) = load_run(calm), load_run(disturbed)
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    equal = all(np.array_equal(a, b) for a, b in pairs)
    print(f"steps {step} and {other_step}; weights equal to the last bit: {equal}")
    sys.exit(not (equal and step == other_step == steps))


if __name__ == "__main__":
    main()
