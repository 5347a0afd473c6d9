"""Requests that wait together are computed together."""

import asyncio
import collections
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from tfvrnn.serving.errors import Code, Refusal
from tfvrnn.serving.servable import AnyServable


@dataclass(eq=False)
class Task:
    """A request: what is asked of which version, and where the answer goes."""

    servable: AnyServable
    signature: str
    inputs: dict[str, np.ndarray]
    rows: int
    answer: asyncio.Future


class Batcher:
    """Computes requests one batch at a time, in a thread of its own.

    While one batch is computed requests gather; the next batch takes as many of one version and
    signature as its largest size allows, oldest first, and repeats its last row up to the next
    allowed size. No request waits for others to come. One that was cancelled, as its deadline
    had passed, is left out.

    Args:
        most_waiting: rows that may wait; more are refused as UNAVAILABLE.
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
        """Outputs of a checked request.

        Raises:
            Refusal: the queue is full, or the computation failed.
        """
        waiting = sum(task.rows for task in self.waiting)
        if waiting and waiting + rows > self.most_waiting:
            raise Refusal(
                Code.UNAVAILABLE, f"the queue is full: {self.most_waiting} rows are waiting"
            )
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
        """Stop working; what still waits is cancelled."""
        self._worker.cancel()
        for task in self.waiting:
            task.answer.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)
        self._thread.shutdown()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self.waiting:
                batch = self._take()
                try:
                    outputs = await loop.run_in_executor(self._thread, _compute, batch)
                # The worker outlives whatever one batch did.
                except Exception as error:
                    for task in batch:
                        if not task.answer.done():
                            task.answer.set_exception(_as_refusal(error))
                    continue
                for task, output in zip(batch, outputs):
                    if not task.answer.done():
                        task.answer.set_result(output)

    def _take(self) -> list[Task]:
        """The oldest request and those that fit with it, removed from the queue."""
        first = self.waiting.popleft()
        batch, rows = [first], first.rows
        if not self.together:
            return batch
        for task in list(self.waiting):
            same = task.servable is first.servable and task.signature == first.signature
            if same and rows + task.rows <= first.servable.batch_sizes[-1]:
                self.waiting.remove(task)
                batch.append(task)
                rows += task.rows
        return batch


def _compute(batch: list[Task]) -> list[dict[str, np.ndarray]]:
    """Outputs of every request of a batch."""
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
