"""Export a run's sampler as a SavedModel for TensorFlow Serving.

python bin/export.py --run_dir=RUN --out=EXPORT_BASE [--horizon=28 --samples=4]
"""

import sys
from pathlib import Path

# Run from a checkout, the checkout's own package is the one that is meant.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfvrnn import commands, config_flags, program
from tfvrnn.program_config import ExportConfig
from tfvrnn.run_folder import RunFolder


def main(arguments: list[str]) -> None:
    wanted = ExportConfig(**config_flags.parse_changes(arguments, ExportConfig))
    RunFolder(wanted.run_dir).read_config()  # complains at once where there is no run

    # TensorFlow takes seconds to import: only after every option was found in order.
    from tfvrnn.serving import export_sampler

    options = {name: value for name, value in vars(wanted).items() if name != "pretrained"}
    version = export_sampler(**options)
    predict = {"export": wanted.out, "video": "VIDEO", "out": "prediction.gif"}
    print(f"exported: {version}\nnext:")
    print(f"  {commands.program('serve.py', export=wanted.out)}")
    print(f"  {commands.program('predict.py', **predict)}")


if __name__ == "__main__":
    program.run(main, __doc__, ExportConfig)
