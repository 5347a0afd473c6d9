"""TensorFlow Serving's REST interface over a manager and a batcher."""

import asyncio
import json
import logging
import traceback
from typing import Any

import numpy as np
import tensorflow as tf
from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.typedefs import Handler
from google.protobuf import json_format
from google.protobuf.message import Message
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2

from tfvrnn.serving.errors import Code, Refusal
from tfvrnn.serving.servable import DEFAULT_SIGNATURE, AnyServable
from tfvrnn.serving.server import grpc_service
from tfvrnn.serving.server.batcher import Batcher
from tfvrnn.serving.server.page import Page
from tfvrnn.serving.server.version_manager import ServedModel

MODEL = "/v1/models/{name:[^/:]+}"
PLACES = ("", "/versions/{version:[0-9]{1,19}}", "/labels/{label:[^/:]+}")


def log() -> logging.Logger:
    """Return a logger for aiohttp. It reports errors of the server, but not malformed HTTP."""
    logger = logging.getLogger(__name__)
    logger.addFilter(_is_ours)
    return logger


def _is_ours(record: logging.LogRecord) -> bool:
    malformed = HttpProcessingError, web.RequestPayloadError
    return not (record.exc_info and isinstance(record.exc_info[1], malformed))


class RestApi:
    """The routes :predict, model status and metadata, and the page.

    Args:
        max_bytes: largest body; a larger one is answered with 413.
        timeout: seconds that a request may take, including its arrival; a slower one is answered
            with 504.
    """

    def __init__(self, manager: ServedModel, batcher: Batcher, max_bytes: int, timeout: float):
        self.manager = manager
        self.batcher = batcher
        self.timeout = timeout
        self._parsing = asyncio.Semaphore(1)
        self.app = web.Application(client_max_size=max_bytes, middlewares=[answer_in_json])
        for place in PLACES:
            self.app.router.add_post(f"{MODEL}{place}:predict", self.predict)
            self.app.router.add_get(f"{MODEL}{place}", self.status)
            self.app.router.add_get(f"{MODEL}{place}/metadata", self.metadata)
        Page(manager, self.app)

    async def predict(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(self.timeout):
                return await self._predict(request)
        except TimeoutError:
            reason = f"not answered within {self.timeout:g} seconds"
            raise Refusal(Code.DEADLINE_EXCEEDED, reason) from None

    async def _predict(self, request):
        servable = grpc_service.find(self.manager, model_spec(request))
        text = await request.read()
        # The Python objects of a text take many times its size, so only one text is parsed at a
        # time. A thread parses it, so that the event loop keeps running.
        async with self._parsing:
            name, by_rows, inputs = await asyncio.to_thread(parse, servable, text)
        described = {key: (tf.as_dtype(v.dtype), v.shape) for key, v in inputs.items()}
        rows = servable.check(name, described)
        outputs = await self.batcher.predict(servable, name, inputs, rows)
        text = await asyncio.to_thread(to_json, outputs, by_rows)
        return web.Response(text=text, content_type="application/json")

    async def status(self, request: web.Request) -> web.Response:
        found = grpc_service.model_status(self.manager, model_spec(request))
        return web.json_response(to_dict(found))

    async def metadata(self, request: web.Request) -> web.Response:
        asked = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=model_spec(request), metadata_field=[grpc_service.SIGNATURES]
        )
        found = grpc_service.model_metadata(self.manager, asked)
        definitions = get_model_metadata_pb2.SignatureDefMap()
        found.metadata[grpc_service.SIGNATURES].Unpack(definitions)
        body = {
            "model_spec": to_dict(found.model_spec),
            "metadata": {grpc_service.SIGNATURES: to_dict(definitions)},
        }
        return web.json_response(body)


@web.middleware
async def answer_in_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every refusal with {"error": reason} and its HTTP status."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return refuse(refusal.code.value, str(refusal))
    except web.HTTPRequestEntityTooLarge:
        return refuse(413, f"a body may have at most {request.app._client_max_size} bytes")
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        return refuse(400, f"Malformed request: {request.method} {request.path[:200]}")
    except web.RequestPayloadError as error:
        return refuse(400, f"the body cannot be read: {error}")
    except web.HTTPException:
        raise
    # A bug is reported on standard error, and to the client in one line.
    except Exception as error:
        traceback.print_exc()
        return refuse(500, f"{type(error).__name__}: {error}"[:1000])


def refuse(status: int, reason: str) -> web.Response:
    """Make the answer {"error": reason} with an HTTP status."""
    return web.json_response({"error": reason}, status=status)


def to_dict(message: Message) -> dict[str, Any]:
    """Convert a message to a dict with its fields' own names, including fields at defaults."""
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def model_spec(request: web.Request) -> model_pb2.ModelSpec:
    """Read the model, and the version or label, that a path names."""
    found = request.match_info
    spec = model_pb2.ModelSpec(name=found["name"], version_label=found.get("label", ""))
    if "version" in found:
        version = int(found["version"])
        if version >= 2**63:
            reason = f"Failed to convert version: {version} to numeric."
            raise Refusal(Code.INVALID_ARGUMENT, reason)
        spec.version.value = version
    return spec


def parse(servable: AnyServable, text: bytes) -> tuple[str, bool, dict[str, np.ndarray]]:
    """Parse the body of a request into (signature, whether by rows, inputs).

    By rows: {"instances": [{"frames": …, "seed": 7}, …]}.
    By columns: {"inputs": {"frames": …, "seed": […]}}.
    If a signature has only one input, its name may be left out.
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = f"JSON Parse error: {error}"
        raise Refusal(Code.INVALID_ARGUMENT, reason) from None
    if not isinstance(body, dict) or ("instances" in body) == ("inputs" in body):
        reason = "the body must be an object with either `instances` or `inputs`"
        raise Refusal(Code.INVALID_ARGUMENT, reason)
    name = body.get("signature_name", "")
    if not isinstance(name, str):
        raise Refusal(Code.INVALID_ARGUMENT, "`signature_name` must be a string")
    name = name or DEFAULT_SIGNATURE
    by_rows = "instances" in body
    wanted = servable.signature(name).inputs
    columns = _columns(body["instances"], wanted) if by_rows else body["inputs"]
    if not isinstance(columns, dict):
        columns = {next(iter(wanted)): columns} if len(wanted) == 1 else {}
    servable.check_names(name, columns)
    most = servable.batch_sizes[-1]
    arrays = {key: to_array(key, columns[key], info, most) for key, info in wanted.items()}
    return name, by_rows, arrays


def _columns(instances, wanted) -> dict:
    """Convert a list of rows into {input: list over rows}."""
    if not isinstance(instances, list) or not instances:
        raise Refusal(Code.INVALID_ARGUMENT, "`instances` must be a list that is not empty")
    if len(wanted) == 1 and not any(isinstance(row, dict) for row in instances):
        return {next(iter(wanted)): instances}
    if not all(isinstance(row, dict) and row.keys() == instances[0].keys() for row in instances):
        reason = "every instance must be an object with the same inputs"
        raise Refusal(Code.INVALID_ARGUMENT, reason)
    return {key: [row[key] for row in instances] for key in instances[0]}


def to_array(name: str, value: Any, info: meta_graph_pb2.TensorInfo, most_rows: int) -> np.ndarray:
    """Convert nested JSON lists into an array of an input's dtype, without loss.

    The lists are checked first. NumPy would convert any content, into an array of many times the
    text's size.
    """
    dtype = tf.dtypes.as_dtype(info.dtype)
    if not (dtype.is_integer or dtype.is_floating):
        raise Refusal(Code.UNIMPLEMENTED, f"`{name}` of type {dtype.name} cannot come as JSON")
    sides = [side.size for side in info.tensor_shape.dim]
    numbers = []
    rows = len(value) if isinstance(value, list) else -1
    kinds = (int,) if dtype.is_integer else (int, float)
    if rows > most_rows:
        raise Refusal(
            Code.INVALID_ARGUMENT, f"a batch must have 1 to {most_rows} rows. Received: {rows}"
        )
    if not _collect(value, [rows, *sides[1:]], kinds, numbers):
        sides = ["any" if side < 0 else str(side) for side in sides]
        reason = f"`{name}` must be numbers of type {dtype.name} in shape [{', '.join(sides)}]"
        raise Refusal(Code.INVALID_ARGUMENT, reason)
    if dtype.is_integer and numbers and not dtype.min <= min(numbers) <= max(numbers) <= dtype.max:
        raise Refusal(Code.INVALID_ARGUMENT, f"`{name}` must lie in {dtype.min} to {dtype.max}")
    try:
        array = np.array(numbers, np.float64 if dtype.is_floating else dtype.as_numpy_dtype)
        with np.errstate(over="ignore"):
            converted = array.astype(dtype.as_numpy_dtype)
        if not np.array_equal(np.isfinite(array), np.isfinite(converted)):
            raise OverflowError
    except OverflowError:
        raise Refusal(Code.INVALID_ARGUMENT, f"`{name}` does not fit {dtype.name}") from None
    return converted.reshape([rows, *sides[1:]])


def _collect(value, sides, kinds, numbers: list) -> bool:
    """Collect the numbers of nested lists; return whether their sides and kinds are as given."""
    if not sides:
        if type(value) not in kinds:  # not isinstance: True is an int
            return False
        numbers.append(value)
        return True
    if not isinstance(value, list) or len(value) != sides[0]:
        return False
    return all(_collect(part, sides[1:], kinds, numbers) for part in value)


def to_json(outputs: dict[str, np.ndarray], by_rows: bool) -> str:
    """Format the body of an answer; the name of a single output is left out."""
    lists = {name: value.tolist() for name, value in outputs.items()}
    if len(lists) == 1:
        (answer,) = lists.values()
    elif by_rows:
        answer = [dict(zip(lists, row)) for row in zip(*lists.values())]
    else:
        answer = lists
    return json.dumps({"predictions" if by_rows else "outputs": answer})
