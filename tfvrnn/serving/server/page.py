"""The page "Futures in a browser", and its routes apart from :predict."""

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from aiohttp import web

from tfvrnn import media
from tfvrnn.serving import examples
from tfvrnn.serving.errors import Code, Refusal
from tfvrnn.serving.in_memory import LONGEST
from tfvrnn.serving.servable import SAMPLES, AnyServable
from tfvrnn.serving.server.version_manager import ServedModel

FOLDER = Path(__file__).parent / "web"
FILES = {  # path: (file, its type); no other file is served
    "/": ("index.html", "text/html"),
    "/demo/style.css": ("style.css", "text/css"),
    "/demo/demo.js": ("demo.js", "text/javascript"),
    "/demo/uploads.js": ("uploads.js", "text/javascript"),
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; media-src blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
BYTES = "application/octet-stream"
FRAMES_PER_SECOND = 8
GIF_SIDE = 128  # small frames are enlarged to about this many pixels per side
GIF_PIXELS = 2**26  # most values in all enlarged frames; longer GIFs are enlarged less
REQUIRED, OPTIONAL = {"frames", "seed"}, {"horizon", "temperature"}


class Sampler(NamedTuple):
    """A signature `samples`: the shapes of its frames, and its inputs.

    context_shape: (n_ctx, H, W, C); samples: futures of a context; horizon: frames of a future,
    -1 if the request chooses it; inputs: their names.
    """

    context_shape: tuple[int, ...]
    samples: int
    horizon: int
    inputs: set[str]


class Page:
    """The routes `/` and `/demo/...`. Nothing that a client sends is stored."""

    def __init__(self, manager: ServedModel, app: web.Application):
        self.manager = manager
        self._files = {
            path: ((FOLDER / name).read_bytes(), kind) for path, (name, kind) in FILES.items()
        }
        for path in FILES:
            app.router.add_get(path, self.file)
        app.router.add_get("/demo/model", self.model)
        app.router.add_get("/demo/clips/{number:[0-9]{1,3}}", self.clip)
        app.router.add_post("/demo/gif", self.gif)

    async def file(self, request: web.Request) -> web.Response:
        content, kind = self._files[request.path]
        return web.Response(body=content, content_type=kind, charset="utf-8", headers=HEADERS)

    async def model(self, request: web.Request) -> web.Response:
        """Send the page's settings as JSON."""
        servable, sampler = self._served()
        clips = await asyncio.to_thread(examples.of, servable)
        frames, *sides = sampler.context_shape
        free = "horizon" in sampler.inputs & OPTIONAL
        body = {
            "predict": f"v1/models/{self.manager.name}:predict",
            "signature": SAMPLES,
            "context_frames": frames,
            "image_shape": sides,
            "samples": sampler.samples,
            "horizon": min(servable.card["horizon"], LONGEST) if free else sampler.horizon,
            "longest": LONGEST if free else sampler.horizon,
            "inputs": sorted(sampler.inputs),
            "clips": len(clips) if clips.shape[2:] == tuple(sides) else 0,
            "frames_per_second": FRAMES_PER_SECOND,
        }
        return web.json_response(body, headers=HEADERS)

    async def clip(self, request: web.Request) -> web.Response:
        """The frames of an example clip as bytes: `[T, H, W, C]`, context first."""
        servable, _ = self._served()
        clips = await asyncio.to_thread(examples.of, servable)
        number = int(request.match_info["number"])
        if number >= len(clips):
            reason = f"the number of a clip must be below {len(clips)}. Received: {number}"
            raise Refusal(Code.NOT_FOUND, reason)
        return web.Response(body=clips[number].tobytes(), content_type=BYTES, headers=HEADERS)

    async def gif(self, request: web.Request) -> web.Response:
        """Send an animated GIF of `?futures=N` futures.

        The body holds the context's bytes, then each future's.
        """
        _, sampler = self._served()
        body, count = await request.read(), request.query.get("futures", "")
        content = await asyncio.to_thread(to_gif, body, count, sampler)
        return web.Response(body=content, content_type="image/gif", headers=HEADERS)

    def _served(self) -> tuple[AnyServable, Sampler]:
        servable = self.manager.find(self.manager.name, None)
        return servable, sampler_of(servable)


def sampler_of(servable: AnyServable) -> Sampler:
    """Return the signature that draws the page's futures.

    Raises:
        Refusal: there is none, or it has other inputs or outputs.
    """
    signature = servable.signature(SAMPLES)
    inputs, outputs = set(signature.inputs), set(signature.outputs)
    if REQUIRED <= inputs <= REQUIRED | OPTIONAL and outputs == {"frames"}:
        _, *context = _sides(signature.inputs["frames"])
        _, *futures = _sides(signature.outputs["frames"])
        if (len(context), len(futures)) == (4, 5) and context[1:] == futures[2:]:
            return Sampler(tuple(context), futures[0], futures[1], inputs)
    reason = f"the signature `{SAMPLES}` does not draw futures of a video"
    raise Refusal(Code.FAILED_PRECONDITION, reason)


def _sides(info: Any) -> list[int]:
    return [side.size for side in info.tensor_shape.dim]


def to_gif(body: bytes, count: str, sampler: Sampler) -> bytes:
    """Draw a GIF of futures side by side, each after the context.

    Given frames have green borders, predicted ones red.

    Raises:
        Refusal: the bytes are not those of a context and `count` futures of equal length.
    """
    given, *sides = sampler.context_shape
    frames, left = divmod(len(body), int(np.prod(sides)))
    futures = int(count) if count.isascii() and count.isdigit() and len(count) < 4 else 0
    if not 1 <= futures <= sampler.samples:
        reason = f"`futures` must lie in 1 to {sampler.samples}. Received: {count[:20]}"
        raise Refusal(Code.INVALID_ARGUMENT, reason)
    horizon, rest = divmod(frames - given, futures)
    longest = LONGEST if sampler.horizon < 0 else sampler.horizon
    if left or rest or not 1 <= horizon <= longest:
        reason = f"the body must hold {given} frames and {futures} futures of 1 to {longest} frames"
        raise Refusal(Code.INVALID_ARGUMENT, f"{reason} of {sides}. Received: {len(body)} bytes")
    pixels = np.frombuffer(body, np.uint8).reshape(frames, *sides)
    videos = pixels[given:].reshape(futures, horizon, *sides)
    scale = min(GIF_SIDE // max(sides[:2]), int((GIF_PIXELS / pixels.size) ** 0.5))
    picture = media.side_by_side(pixels[:given], videos, max(1, scale))
    return media.to_gif(picture, FRAMES_PER_SECOND)
