"""The page "Futures in a browser" over a model in memory."""

import asyncio
import socket

from tfvrnn.serving.in_memory import InMemory
from tfvrnn.serving.server.batcher import Batcher
from tfvrnn.serving.server.rest import RestApi
from tfvrnn.serving.server.server import address, start_rest, until_stopped
from tfvrnn.serving.server.version_manager import ServedModel

NAME, QUEUE = "tfvrnn", 16


class DemoServer:
    """REST and the page for one model. Start and stop it in a running event loop.

    Args:
        servable: the model.
        listening: a socket that listens.
        max_request_mb: largest request in megabytes.
        request_timeout: seconds until a request times out.
    """

    def __init__(
        self,
        servable: InMemory,
        listening: socket.socket,
        max_request_mb: int,
        request_timeout: float,
    ):
        self.listening = listening
        self.manager = ServedModel(NAME, servable)
        self.max_request_bytes, self.request_timeout = max_request_mb * 2**20, request_timeout
        self.rest_port: int = listening.getsockname()[1]

    async def start(self) -> None:
        self.batcher = Batcher(QUEUE)
        api = RestApi(self.manager, self.batcher, self.max_request_bytes, self.request_timeout)
        self._rest = await start_rest(api, self.listening)

    async def stop(self) -> None:
        """Accept no more requests, answer the running ones, and stop."""
        await self._rest.cleanup()
        await self.batcher.close()


def serve_demo(server: DemoServer, host: str) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    where = address(host, server.rest_port)
    asyncio.run(until_stopped(server, lambda: f"open http://{where}/ in a browser; Ctrl-C stops"))
