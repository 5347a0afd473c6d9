"""Prepare a dataset, once. Interrupted, the same command goes on.

    python bin/prepare_data.py --dataset=video_folder --source=VIDEOS [--size=64 --frame_rate=10]
    python bin/prepare_data.py --dataset=video_folder --source=RECORDINGS --windows=144
    python bin/prepare_data.py --dataset=bair [--source=bair_robot_pushing_dataset_v0.tar]
    python bin/prepare_data.py --dataset=cityscapes --source=leftImg8bit_sequence_trainvaltest.zip
    python bin/prepare_data.py --dataset=sim_push --episodes=1000 [--scene=fixed]
    python bin/prepare_data.py --dataset=pusht --episodes=2000

Exit code 1: prepared, but some sources gave nothing; they are listed with the reason.
Exit code 130: interrupted.
"""

import dataclasses
import sys
from pathlib import Path

# Run from a checkout, the checkout's own package is the one that is meant.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfvrnn import commands, config_flags, program
from tfvrnn.program_config import PrepareConfig

SOME_SKIPPED = 1


def main(arguments: list[str]) -> None:
    wanted = config_flags.build(PrepareConfig, config_flags.parse_changes(arguments, PrepareConfig))

    from tfvrnn.data.prepare import prepare  # TensorFlow takes seconds to import

    try:
        prepared = prepare(wanted.dataset, dataclasses.asdict(wanted))
    except KeyboardInterrupt:
        print("stopped: the same command goes on", file=sys.stderr)
        sys.exit(program.INTERRUPTED)
    counts = ", ".join(f"{split} {count}" for split, count in prepared.videos.items())
    print(f"{prepared.folder}: {counts}")
    data = f"--data.dataset={wanted.trained_as} --data.data_dir={commands.quoted(wanted.data_dir)}"
    print(f"train with {data} --model.image_size={wanted.size} --model.channels={wanted.channels}")
    for name, reason in prepared.skipped:
        print(f"left out: {name}: {reason}", file=sys.stderr)
    if prepared.skipped:
        print(f"to try those again, move {prepared.folder} away", file=sys.stderr)
        sys.exit(SOME_SKIPPED)


if __name__ == "__main__":
    program.run(main, __doc__, PrepareConfig)
