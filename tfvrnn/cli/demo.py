"""Watch a model predict in a browser: a page with clips, their futures and a few controls.

    tfvrnn demo [--pretrained=smmnist | --run_dir=RUN | --preset=FOLDER] [--port=8502]

`tfvrnn serve` shows the same page of an export.
"""

from dataclasses import dataclass
from pathlib import Path

from tfvrnn import config_flags, presets
from tfvrnn.cli.options import pretrained_option
from tfvrnn.config import EXPORT_SAMPLES, check_fields, option, require, require_at_least
from tfvrnn.runs import RunFolder

SOURCES = ("run_dir", "pretrained", "preset")


@dataclass(frozen=True)
class Options:
    """Options of `tfvrnn demo`."""

    run_dir: str = option("", "Run folder of the model.")
    pretrained: str = pretrained_option()
    preset: str = option("", "Folder of a preset, or hf://owner/name. Without a model: smmnist.")
    samples: int = option(EXPORT_SAMPLES, "Futures to draw per clip.")
    host: str = option(
        "127.0.0.1", "Address to listen on. The default accepts requests only from this machine."
    )
    port: int = option(8502, "Port of the page; 0: any free one.")
    max_request_mb: int = option(64, "Largest request in megabytes.")
    request_timeout: float = option(60.0, "Seconds until a request times out.")

    def __post_init__(self):
        check_fields(self)
        given = [name for name in SOURCES if getattr(self, name)]
        rule = "only one of `run_dir`, `pretrained` and `preset` may be given."
        require(len(given) < 2, rule, ", ".join(given))
        require(1 <= self.samples <= 16, "`samples` must lie in 1 to 16.", self.samples)
        require_at_least(self, 1, "max_request_mb")
        require(0 <= self.port < 65536, "`port` must lie in 0 to 65535.", self.port)
        rule = "`request_timeout` must be positive."
        require(self.request_timeout > 0, rule, self.request_timeout)

    def find(self) -> Path:
        """Find the folder of the model. A preset on a hub is downloaded first."""
        if self.run_dir:
            folder = RunFolder(self.run_dir)
            folder.read_config()  # fails at once if there is no run
            return folder.path
        return presets.find(self.preset or self.pretrained or presets.NAMES[0])


def main(arguments: list[str]) -> None:
    wanted = Options(**config_flags.parse_changes(arguments, Options))
    folder = wanted.find()

    # TensorFlow takes seconds to import, so all options are checked first.
    from tfvrnn import backend
    from tfvrnn.serving import examples, in_memory
    from tfvrnn.serving.server.demo import DemoServer, serve_demo
    from tfvrnn.serving.server.server import listen

    backend.divide_cores()
    with listen(wanted.host, wanted.port, "--port chooses another") as listening:
        print("loading", flush=True)
        servable = in_memory.load(folder, wanted.samples)
        servable.warm_up()
        examples.of(servable)
        limits = (wanted.max_request_mb, wanted.request_timeout)
        serve_demo(DemoServer(servable, listening, *limits), wanted.host)
