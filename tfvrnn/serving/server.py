"""A server with TensorFlow Serving's interfaces, for laptops and tests.

In production serve the same export with TensorFlow Serving itself: see docs/serving.md.
"""

import asyncio
import os
import signal
import socket

import grpc
from aiohttp import web

from tfvrnn.config import UserError, expanded
from tfvrnn.program_config import ServeConfig
from tfvrnn.serving.batcher import Batcher
from tfvrnn.serving.grpc_service import add_services
from tfvrnn.serving.manager import Manager
from tfvrnn.serving.rest import RestApi, log

# Seconds that requests in hand may take when the server stops.
GRACE = 10


class Server:
    """Both interfaces of one export. Start and stop it in a running event loop.

    Attributes:
        port, rest_port: those listened at, also where 0 was asked for.
        manager: tells when the first version is ready, and the versions' states.
    """

    def __init__(self, config: ServeConfig):
        self.config = config

    async def start(self) -> None:
        """Listen, and begin to load; requests are UNAVAILABLE until the model is warm.

        Raises:
            UserError: no version in the export, or a port that is in use.
        """
        config = self.config
        # gRPC itself would report a port in use in a traceback of its own.
        listen(config.host, config.port).close()
        rest = listen(config.host, config.rest_port)
        try:
            base = expanded(config.export)
            self.manager = Manager(base, config.name, config.poll_seconds)
        except UserError:
            rest.close()
            raise
        self.batcher = Batcher(config.queue, config.batching)
        await self._start_rest(rest)
        await self._start_grpc()

    async def _start_rest(self, listening: socket.socket):
        config = self.config
        self.rest_port = listening.getsockname()[1]
        max_bytes = config.max_request_mb * 2**20
        api = RestApi(self.manager, self.batcher, max_bytes, config.request_timeout)
        # A client that is gone is not computed for.
        self._rest = web.AppRunner(
            api.app,
            access_log=None,
            logger=log(),
            handler_cancellation=True,
            shutdown_timeout=GRACE,
        )
        await self._rest.setup()
        await web.SockSite(self._rest, listening).start()

    async def _start_grpc(self):
        config = self.config
        self._grpc = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", config.max_request_mb * 2**20),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
            ]
        )
        add_services(self._grpc, self.manager, self.batcher)
        try:
            self.port = self._grpc.add_insecure_port(address(config.host, config.port))
        except RuntimeError:  # taken since it was tried
            await self.stop()
            where = f"{address(config.host, config.port)}: taken meanwhile; --port chooses another"
            raise UserError(f"cannot listen at {where}") from None
        await self._grpc.start()

    async def stop(self) -> None:
        """Take no more requests, answer those in hand, and end."""
        await asyncio.gather(self._grpc.stop(GRACE), self._rest.cleanup())
        await self.batcher.close()
        await self.manager.close()


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to an address.

    Raises:
        UserError: it is in use, or not this machine's.
    """
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # All of this machine's addresses: those of IPv4 too, as gRPC takes them.
        both = place[0] == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        where = f"{address(host, port)}: {reason}; --port and --rest_port choose others"
        raise UserError(f"cannot listen at {where}") from None


def address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def serve(config: ServeConfig) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    asyncio.run(_serve(config))


async def _serve(config: ServeConfig) -> None:
    server, stop = Server(config), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.start()
    name = config.name
    print(
        f"gRPC at {address(config.host, server.port)}, "
        f"REST at http://{address(config.host, server.rest_port)}/v1/models/{name}; loading",
        flush=True,
    )
    await stop.wait()
    print("stopping", flush=True)
    await server.stop()
