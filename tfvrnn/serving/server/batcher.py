"""Compute waiting requests together, in batches."""

import asyncio
import collections
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from tfvrnn.serving.errors import Code, Refusal
from tfvrnn.serving.servable import AnyServable


@dataclass(eq=False)
class Task:
    """A request: its version, signature and inputs, and the future of its answer."""

    servable: AnyServable
    signature: str
    inputs: dict[str, np.ndarray]
    rows: int
    answer: asyncio.Future


class Batcher:
    """Computes requests one batch at a time, in a thread of its own.

    Requests gather while a batch is computed. The next batch takes requests of one version,
    signature and shape, oldest first, as many as the largest size allows. Its last row is repeated
    up to the next allowed size. No request waits for others to arrive. Requests that were
    cancelled, by a deadline or a disconnect, are left out.

    Args:
        most_waiting: most rows that may wait; further requests are refused as UNAVAILABLE.
        together: False computes every request by itself.
    """

    def __init__(self, most_waiting: int, together: bool = True):
        self.most_waiting = most_waiting
        self.together = together
        self.waiting: collections.deque[Task] = collections.deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "compute")
        self._worker = asyncio.create_task(self._work())

    async def predict(
        self, servable: AnyServable, signature: str, inputs: dict[str, np.ndarray], rows: int
    ) -> dict[str, np.ndarray]:
        """Compute the outputs of a checked request.

        Raises:
            Refusal: the queue is full, or the computation failed.
        """
        waiting = sum(task.rows for task in self.waiting)
        if waiting and waiting + rows > self.most_waiting:
            found = f"{rows} rows, behind {waiting} that wait"
            rule = f"the queue is full: it holds {self.most_waiting} rows."
            raise Refusal(Code.UNAVAILABLE, f"{rule} Received: {found}")
        answer = asyncio.get_running_loop().create_future()
        task = Task(servable, signature, inputs, rows, answer)
        self.waiting.append(task)
        self._arrived.set()
        try:
            return await answer
        except asyncio.CancelledError:
            if task in self.waiting:
                self.waiting.remove(task)
            raise

    async def close(self) -> None:
        """Stop working, and cancel the requests that still wait."""
        self._worker.cancel()
        for task in self.waiting:
            task.answer.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)
        self._thread.shutdown()

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self.waiting:
                # A call of its own, so that nothing keeps the batch's version in memory after it.
                await self._answer(self._take())

    async def _answer(self, batch: list[Task]) -> None:
        loop = asyncio.get_running_loop()
        try:
            outputs = await loop.run_in_executor(self._thread, _compute, batch)
        # The worker survives any error of a batch.
        except Exception as error:
            for task in batch:
                if not task.answer.done():
                    task.answer.set_exception(_as_refusal(error))
            return
        for task, output in zip(batch, outputs):
            if not task.answer.done():
                task.answer.set_result(output)

    def _take(self) -> list[Task]:
        """Take the oldest request, and those that fit with it, from the queue."""
        first = self.waiting.popleft()
        batch, rows = [first], first.rows
        if not self.together:
            return batch
        for task in list(self.waiting):
            if _fit(task, first) and rows + task.rows <= first.servable.batch_sizes[-1]:
                self.waiting.remove(task)
                batch.append(task)
                rows += task.rows
        return batch


def _fit(task: Task, first: Task) -> bool:
    """Return whether two requests can be computed as one batch."""
    same = task.servable is first.servable and task.signature == first.signature
    return same and all(
        task.inputs[name].shape[1:] == value.shape[1:] for name, value in first.inputs.items()
    )


def _compute(batch: list[Task]) -> list[dict[str, np.ndarray]]:
    """Compute the outputs of every request in a batch."""
    first, rows = batch[0], sum(task.rows for task in batch)
    size = next(size for size in first.servable.batch_sizes if size >= rows)
    inputs = {}
    for name in first.inputs:
        value = np.concatenate([task.inputs[name] for task in batch])
        padding = [(0, size - rows)] + [(0, 0)] * (value.ndim - 1)
        inputs[name] = np.pad(value, padding, mode="edge")
    outputs = first.servable.run(first.signature, inputs)
    ends = np.cumsum([task.rows for task in batch])
    return [
        {name: value[end - task.rows : end] for name, value in outputs.items()}
        for task, end in zip(batch, ends)
    ]


def _as_refusal(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    return Refusal(Code.INTERNAL, f"{type(error).__name__}: {error}")
