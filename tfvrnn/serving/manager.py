"""The versions of an export: loads the highest, notices new ones."""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tfvrnn.config import UserError
from tfvrnn.serving.errors import Code, Refusal
from tfvrnn.serving.export import versions
from tfvrnn.serving.servable import Servable

LOADING, AVAILABLE, END = "LOADING", "AVAILABLE", "END"


class Manager:
    """Serves the highest version of an export, under one name.

    A new version is loaded and warmed up in the background, then takes the place of the old
    one, which answers what it had begun. A version that cannot be loaded is told of once; the
    old one stays.

    Attributes:
        states: {version: (LOADING, AVAILABLE or END, reason)}, of the versions touched so far.
    """

    def __init__(self, base: Path, name: str, poll_seconds: float):
        if not versions(base):
            raise UserError(f"no version in {base}: no folder there has a number for a name")
        self.base = base
        self.name = name
        self.poll_seconds = poll_seconds
        self.states: dict[int, tuple[str, str]] = {}
        self.ready = asyncio.Event()
        self._servable: Servable | None = None
        self._thread = ThreadPoolExecutor(1, "load")
        self._poller = asyncio.create_task(self._poll())

    def find(self, name: str, version: int | None, label: str = "") -> Servable:
        """The version that a request asks for.

        Raises:
            Refusal: another model, version or label; nothing is loaded yet.
        """
        if name != self.name:
            reason = f"Servable not found for request: Latest({name}); there is {self.name}"
            raise Refusal(Code.NOT_FOUND, reason)
        if label:
            raise Refusal(Code.INVALID_ARGUMENT, f"Unrecognized servable version label: {label}")
        servable = self._servable
        if servable is None:
            raise Refusal(Code.UNAVAILABLE, f"{name} is loading")
        if version is not None and version != servable.version:
            reason = f"Servable not found for request: Specific({name}, {version})"
            raise Refusal(Code.NOT_FOUND, reason)
        return servable

    async def close(self) -> None:
        """Stop looking for versions."""
        self._poller.cancel()
        await asyncio.gather(self._poller, return_exceptions=True)
        self._thread.shutdown(cancel_futures=True)

    async def _poll(self) -> None:
        while True:
            highest = max(versions(self.base), default=None)
            if highest is not None and highest not in self.states:
                await self._load(highest)
            await asyncio.sleep(self.poll_seconds)

    async def _load(self, version: int) -> None:
        self.states[version] = (LOADING, "")
        loop = asyncio.get_running_loop()
        try:
            new = await loop.run_in_executor(self._thread, _loaded, self.base / str(version))
        # Whatever is wrong with its files, the server goes on.
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
            self.states[version] = (END, reason)
            print(f"version {version} cannot be loaded: {reason}", file=sys.stderr, flush=True)
            return
        old, self._servable = self._servable, new
        self.states[version] = (AVAILABLE, "")
        if old:
            self.states[old.version] = (END, "")
        self.ready.set()
        print(f"serving version {version} of {self.name}", flush=True)


def _loaded(folder: Path) -> Servable:
    servable = Servable(folder)
    servable.warm_up()
    return servable
