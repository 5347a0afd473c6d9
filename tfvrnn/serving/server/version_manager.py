"""Hold the model that is served. For an export, load the highest version and notice new ones."""

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tfvrnn.serving.errors import Code, Refusal
from tfvrnn.serving.servable import AnyServable, Servable
from tfvrnn.serving.versions import existing_versions, version_folders

LOADING, AVAILABLE, END = "LOADING", "AVAILABLE", "END"


class ServedModel:
    """One model under one name.

    Args:
        name: name that it is served under.
        servable: the version that answers; None while nothing is loaded.

    Attributes:
        states: {version: (LOADING, AVAILABLE or END, reason)}, of the versions tried so far.
    """

    def __init__(self, name: str, servable: AnyServable | None = None):
        self.name = name
        self.states: dict[int, tuple[str, str]] = {}
        if servable:
            self.states[servable.version] = (AVAILABLE, "")
        self._servable = servable

    def find(self, name: str, version: int | None, label: str = "") -> AnyServable:
        """Return the version that a request asks for.

        Raises:
            Refusal: another model, version or label, or nothing is loaded yet.
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


class VersionManager(ServedModel):
    """Serves the highest version of an export, under one name.

    A new version is loaded and warmed up in the background, and then replaces the old one. The old
    one still answers the requests that it has begun. A version whose files change is loaded again.
    A version that cannot be loaded is reported, and tried again when its files change. Meanwhile
    the next lower version is served. If the served version's folder disappears, the server returns
    to the highest version that is left.
    """

    def __init__(self, base: Path, name: str, poll_seconds: float):
        existing_versions(base)
        super().__init__(name)
        self.base = base
        self.poll_seconds = poll_seconds
        self.ready = asyncio.Event()
        self._broken: dict[int, int] = {}
        self._served: tuple[int, int] | None = None  # version and stamp
        self._stopping = threading.Event()
        self._thread = ThreadPoolExecutor(1, "load")
        self._poller = asyncio.create_task(self._poll())

    async def close(self) -> None:
        """Stop looking for versions; a running warm-up ends after its current request."""
        self._stopping.set()
        self._poller.cancel()
        await asyncio.gather(self._poller, return_exceptions=True)
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    async def _poll(self) -> None:
        while True:
            try:
                await self._look()
            except OSError as error:
                print(f"cannot look into {self.base}: {error}", file=sys.stderr, flush=True)
            await asyncio.sleep(self.poll_seconds)

    async def _look(self) -> None:
        """Load the highest version that has not failed, unless it is served as it is."""
        folders = version_folders(self.base)
        stamps = {number: _stamp(folder) for number, folder in folders.items()}
        whole = [n for n, stamp in stamps.items() if self._broken.get(n) != stamp]
        if whole and (max(whole), stamps[max(whole)]) != self._served:
            await self._load(max(whole), stamps[max(whole)])

    async def _load(self, version: int, stamp: int) -> None:
        self.states[version] = (LOADING, "")
        loop = asyncio.get_running_loop()
        try:
            new = await loop.run_in_executor(self._thread, self._loaded, version)
        # The server continues, whatever is wrong with the files.
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
            self.states[version] = (END, reason)
            self._broken[version] = stamp
            print(f"version {version} cannot be loaded: {reason}", file=sys.stderr, flush=True)
            return
        old, self._servable, self._served = self._servable, new, (version, stamp)
        if old:
            self.states[old.version] = (END, "")
        self.states[version] = (AVAILABLE, "")
        self.ready.set()
        print(f"serving version {version} of {self.name}", flush=True)

    def _loaded(self, version: int) -> Servable:
        servable = Servable(version_folders(self.base)[version])
        servable.warm_up(self._stopping.is_set)
        return servable


def _stamp(folder: Path) -> int:
    """Return when any file of a version was last changed, in nanoseconds."""
    paths = [folder, *folder.rglob("*")]
    # A broken link has only its own time.
    return max((p.stat() if p.exists() else p.lstat()).st_mtime_ns for p in paths)
