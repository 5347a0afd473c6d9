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
    one still answers the requests that it has begun. If the files of the served version change, it
    is loaded again once they are at rest. If that fails, the one in memory stays. A new version
    that cannot be loaded is reported, and tried again when its files change. Meanwhile the next
    lower version is served. If the served version's folder disappears, the server returns to the
    highest version that is left.
    """

    def __init__(self, base: Path, name: str, poll_seconds: float):
        existing_versions(base)
        super().__init__(name)
        self.base = base
        self.poll_seconds = poll_seconds
        self.ready = asyncio.Event()
        self._broken: dict[int, int] = {}
        self._served = 0  # stamp of the served version when it was loaded
        self._stamps: dict[int, int] = {}  # of the last look
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
        """Load the highest version that has not failed, or the served one if it has changed."""
        folders = version_folders(self.base)
        stamps = {number: _stamp(folder) for number, folder in folders.items()}
        before, self._stamps = self._stamps, stamps
        current = self._servable.version if self._servable else None
        whole = [n for n, stamp in stamps.items() if n == current or self._broken.get(n) != stamp]
        if not whole:
            return
        newest, stamp = max(whole), stamps[max(whole)]
        known = (self._served, self._broken.get(newest))
        at_rest = before.get(newest) == stamp
        if newest != current or (stamp not in known and at_rest):
            await self._load(newest, folders[newest], stamp)

    async def _load(self, version: int, folder: Path, stamp: int) -> None:
        again = self._servable is not None and self._servable.version == version
        if not again:
            self.states[version] = (LOADING, "")
        loop = asyncio.get_running_loop()
        try:
            new = await loop.run_in_executor(self._thread, self._loaded, folder)
        # The server continues, whatever is wrong with the files.
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
            if not again:
                self.states[version] = (END, reason)
            self._broken[version] = stamp
            print(f"version {version} cannot be loaded: {reason}", file=sys.stderr, flush=True)
            return
        old, self._servable, self._served = self._servable, new, stamp
        if old:
            self.states[old.version] = (END, "")
        self.states[version] = (AVAILABLE, "")
        self.ready.set()
        print(f"serving version {version} of {self.name}", flush=True)

    def _loaded(self, folder: Path) -> Servable:
        servable = Servable(folder)
        servable.warm_up(self._stopping.is_set)
        return servable


def _stamp(folder: Path) -> int:
    """Return when any file of a version was last changed, in nanoseconds."""
    paths = [folder, *folder.rglob("*")]
    # A broken link has only its own time.
    return max((p.stat() if p.exists() else p.lstat()).st_mtime_ns for p in paths)
