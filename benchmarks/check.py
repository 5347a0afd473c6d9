"""Compare this machine's ratios with the recorded ones, for a release, not for CI.

    python benchmarks/check.py --peer_python=PYTHON

It runs the benchmarks that have a PyTorch peer, and compares ratios, never absolute times. If a
ratio is below nine tenths of the recorded one, it is named and the exit code is 1.
"""

import json
import subprocess
import sys
from pathlib import Path

import common

FOLDER = Path(__file__).parent
# benchmark: {name in its report: lowest recorded ratio}. benchmarks/README.md says where and how.
RECORDED = {
    "train_step.py": {"ratio": 1.15},
    "sampling.py": {"ratio_to_stateful": 1.0, "ratio_to_rerun": 40.0},
}
LEAST_SHARE = 0.9


def main():
    peer, others = common.take("peer_python", sys.argv[1:])
    if not peer or others:
        sys.exit(__doc__)
    fallen = []
    for name, ratios in RECORDED.items():
        command = [sys.executable, str(FOLDER / name), f"--peer_python={peer}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        report = json.loads(done.stdout.splitlines()[-1])
        for key, recorded in ratios.items():
            line = f"{name} {key}: {report[key]}, recorded {recorded}"
            print(line, flush=True)
            if report[key] < LEAST_SHARE * recorded:
                fallen.append(line)
    sys.exit("\n".join(["fell behind:", *fallen]) if fallen else 0)


if __name__ == "__main__":
    main()
