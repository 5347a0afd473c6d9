"""Serve an export over gRPC and REST like TensorFlow Serving, for laptops and tests.

    tfvrnn serve --export=EXPORT_BASE [--port=8500 --rest_port=8501]

In production, use TensorFlow Serving itself. docs/serving.md has the command.
"""

import dataclasses
from dataclasses import dataclass

from tfvrnn import config_flags
from tfvrnn.config import check_fields, check_name, expanded, option, require, require_at_least
from tfvrnn.serving.versions import existing_versions


@dataclass(frozen=True)
class Options:
    """Options of `tfvrnn serve`."""

    export: str = option("", "Required. Base folder of an export.")
    name: str = option("tfvrnn", "Name of the served model.")
    host: str = option(
        "127.0.0.1",
        "Address to listen on. The default accepts requests only from this machine.",
    )
    port: int = option(8500, "Port of gRPC; 0: any free port.")
    rest_port: int = option(8501, "Port of REST; 0: any free port.")
    batching: bool = option(True, "Compute waiting requests together, as one batch.")
    queue: int = option(
        64, "Largest number of rows that may wait. Further requests are refused as unavailable."
    )
    max_request_mb: int = option(64, "Largest request in megabytes.")
    request_timeout: float = option(60.0, "Seconds until a REST request times out.")
    poll_seconds: float = option(1.0, "Seconds between checks for a new version.")

    def __post_init__(self):
        check_fields(self)
        require(self.export != "", "`export` must name an export's folder.", repr(self.export))
        require_at_least(self, 0, "port", "rest_port")
        require_at_least(self, 1, "queue", "max_request_mb")
        require(
            self.max_request_mb < 2048,
            "`max_request_mb` must be below 2048, gRPC's limit.",
            self.max_request_mb,
        )
        for name in ("port", "rest_port"):
            value = getattr(self, name)
            require(value < 65536, f"`{name}` must be below 65536.", value)
        require(
            self.port != self.rest_port or self.port == 0,
            "`port` and `rest_port` must differ.",
            self.port,
        )
        for name in ("request_timeout", "poll_seconds"):
            require(getattr(self, name) > 0, f"`{name}` must be positive.", getattr(self, name))
        check_name(self.name)


def main(arguments: list[str]) -> None:
    wanted = Options(**config_flags.parse_changes(arguments, Options))
    existing_versions(expanded(wanted.export))  # fails at once if there is no export

    # TensorFlow takes seconds to import, so all options are checked first.
    from tfvrnn.serving.server import serve

    serve(**dataclasses.asdict(wanted))
