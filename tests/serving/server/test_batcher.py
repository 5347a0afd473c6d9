"""Requests that wait together: which are computed as one batch, and what is kept afterwards."""

import asyncio
import gc
import weakref

import numpy as np

from tfvrnn.serving.server.batcher import Batcher


class Doubled:
    """A servable with two free sides."""

    batch_sizes = (1, 2, 4)

    def __init__(self):
        self.shapes = []

    def run(self, signature, inputs):
        self.shapes.append(inputs["x"].shape)
        return {"y": 2 * inputs["x"]}


async def ask(batcher, servable, widths):
    asked = [
        batcher.predict(servable, "double", {"x": np.full((1, width), width)}, 1)
        for width in widths
    ]
    return [found["y"] for found in await asyncio.gather(*asked)]


def test_only_requests_of_equal_shapes_are_computed_together():
    async def run():
        batcher, servable = Batcher(8), Doubled()
        found = await ask(batcher, servable, (2, 3, 2))
        await batcher.close()
        return found, servable.shapes

    found, shapes = asyncio.run(run())
    assert [value.tolist() for value in found] == [[[4, 4]], [[6, 6, 6]], [[4, 4]]]
    assert shapes == [(2, 2), (1, 3)]


def test_an_idle_batcher_keeps_no_version_in_memory():
    async def run():
        batcher, servable = Batcher(8), Doubled()
        await ask(batcher, servable, (2,))
        kept = weakref.ref(servable)
        del servable
        await asyncio.sleep(0)
        gc.collect()
        found = kept()
        await batcher.close()
        return found

    assert asyncio.run(run()) is None
