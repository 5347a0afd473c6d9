"""A server with TensorFlow Serving's interfaces, for laptops and tests.

In production, serve the same export with TensorFlow Serving itself: see docs/serving.md.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from aiohttp import web

from tfvrnn.config import UserError, expanded
from tfvrnn.serving.server.batcher import Batcher
from tfvrnn.serving.server.grpc_service import add_services
from tfvrnn.serving.server.rest import RestApi, log
from tfvrnn.serving.server.version_manager import VersionManager

# Seconds that running requests may still take when the server stops.
GRACE = 10


class Server:
    """Serve one export over gRPC and REST. Start and stop it in a running event loop.

    `tfvrnn serve --help` shows the defaults of the program.

    Args:
        export: base folder of the export.
        name: name of the served model.
        host: address to listen on.
        port: port of gRPC; 0: any free port.
        rest_port: port of REST; 0: any free port.
        batching: whether waiting requests are computed together, as one batch.
        queue: largest number of rows that may wait. Further requests are refused as unavailable.
        max_request_mb: largest request in megabytes.
        request_timeout: seconds until a REST request times out.
        poll_seconds: seconds between checks for a new version.

    Attributes:
        port, rest_port: the ports in use, also if 0 was asked for.
        manager: knows when the first version is ready, and the state of every version.
    """

    def __init__(
        self,
        *,
        export: str | Path,
        name: str,
        host: str,
        port: int,
        rest_port: int,
        batching: bool,
        queue: int,
        max_request_mb: int,
        request_timeout: float,
        poll_seconds: float,
    ):
        self.base, self.name = expanded(export), name
        self.host, self.port, self.rest_port = host, port, rest_port
        self.batching, self.queue = batching, queue
        self.max_request_bytes = max_request_mb * 2**20
        self.request_timeout, self.poll_seconds = request_timeout, poll_seconds

    async def start(self) -> None:
        """Listen, and start loading; requests are UNAVAILABLE until the model is warmed up.

        Raises:
            UserError: no version in the export, or a port that is in use.
        """
        # gRPC itself would report a port in use with a traceback.
        listen(self.host, self.port).close()
        rest = listen(self.host, self.rest_port)
        try:
            self.manager = VersionManager(self.base, self.name, self.poll_seconds)
        except UserError:
            rest.close()
            raise
        self.batcher = Batcher(self.queue, self.batching)
        await self._start_rest(rest)
        await self._start_grpc()

    async def _start_rest(self, listening: socket.socket):
        self.rest_port = listening.getsockname()[1]
        api = RestApi(self.manager, self.batcher, self.max_request_bytes, self.request_timeout)
        self._rest = await start_rest(api, listening)

    async def _start_grpc(self):
        self._grpc = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", self.max_request_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
            ]
        )
        add_services(self._grpc, self.manager, self.batcher)
        wanted = address(self.host, self.port)
        try:
            self.port = self._grpc.add_insecure_port(wanted)
        except RuntimeError:  # taken since the check in `start`
            await self.stop()
            where = f"{wanted}: taken meanwhile; --port chooses another"
            raise UserError(f"cannot listen at {where}") from None
        await self._grpc.start()

    async def stop(self) -> None:
        """Accept no more requests, answer the running ones, and stop."""
        await asyncio.gather(self._grpc.stop(GRACE), self._rest.cleanup())
        await self.batcher.close()
        await self.manager.close()


async def start_rest(api: RestApi, listening: socket.socket) -> web.AppRunner:
    """Answer at a socket; a client that disconnects cancels its request."""
    runner = web.AppRunner(
        api.app,
        access_log=None,
        logger=log(),
        handler_cancellation=True,
        shutdown_timeout=GRACE,
    )
    await runner.setup()
    await web.SockSite(runner, listening).start()
    return runner


def listen(
    host: str, port: int, options: str = "--port and --rest_port choose others"
) -> socket.socket:
    """Bind a socket to an address.

    Args:
        host: address to listen at.
        port: 0: any free one.
        options: the options that choose another port, for the error.

    Raises:
        UserError: the address is in use, or not this machine's.
    """
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # "::" means all addresses of this machine, including IPv4, as in gRPC.
        both = place[0] == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except UnicodeError:  # a part of the name is empty or too long
        raise UserError(f"cannot listen at {address(host, port)}: not a host name") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        where = f"{address(host, port)}: {reason}; {options}"
        raise UserError(f"cannot listen at {where}") from None


def address(host: str, port: int) -> str:
    """Format HOST:PORT, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def serve(**options: Any) -> None:
    """Serve until SIGTERM or Ctrl-C; see `Server` for the options."""
    server = Server(**options)

    def line():
        rest = f"http://{address(server.host, server.rest_port)}"
        return (
            f"gRPC at {address(server.host, server.port)}, "
            f"REST at {rest}/v1/models/{server.name}, a page at {rest}/; loading"
        )

    asyncio.run(until_stopped(server, line))


async def until_stopped(server: Any, line: Callable[[], str]) -> None:
    """Start a server, print a line about it, and stop it at SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.start()
    print(line(), flush=True)
    await stop.wait()
    print("stopping", flush=True)
    await server.stop()
