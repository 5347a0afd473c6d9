"""Models that answer requests: the checks of requests, and one loaded version of an export."""

import logging
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tfvrnn import files
from tfvrnn.serving import warmup
from tfvrnn.serving.errors import Code, Refusal
from tfvrnn.serving.export import CARD

DEFAULT_SIGNATURE, SAMPLES = "serving_default", "samples"


class AnyServable:
    """A model that answers requests of named signatures.

    Every input of a signature has the batch in dimension 0.

    Attributes:
        version: int.
        card: dict, the model card; {} if there is none.
        clips: uint8 `[N, T, H, W, C]`, test videos that came with the model.
        signature_defs: {name: SignatureDef}, as the C++ server sees them.
        batch_sizes: allowed sizes, ascending.
    """

    version: int
    card: dict[str, Any]
    clips: np.ndarray = np.zeros((0, 0, 0, 0, 0), np.uint8)
    signature_defs: dict[str, meta_graph_pb2.SignatureDef]
    batch_sizes: list[int]

    def run(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute the outputs of a signature.

        Raises:
            Refusal: the model itself rejected the inputs, or failed.
        """
        raise NotImplementedError

    def signature(self, name: str) -> meta_graph_pb2.SignatureDef:
        """Return the signature of that name.

        Raises:
            Refusal: there is none.
        """
        if name not in self.signature_defs:
            raise Refusal(
                Code.FAILED_PRECONDITION,
                f'Serving signature key "{name}" not found; there are: '
                f"{', '.join(sorted(self.signature_defs))}.",
            )
        return self.signature_defs[name]

    def check_names(self, signature: str, names: Iterable[str]) -> None:
        """Raise Refusal unless these are the signature's inputs."""
        wanted, sent = set(self.signature(signature).inputs), set(names)
        if wanted != sent:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"input size does not match signature: {len(sent)}!={len(wanted)} "
                f"len({{{','.join(sorted(sent))}}}) != len({{{','.join(sorted(wanted))}}}). "
                f"Sent extra: {{{','.join(sorted(sent - wanted))}}}. "
                f"Missing but required: {{{','.join(sorted(wanted - sent))}}}.",
            )

    def check(self, signature: str, described: dict[str, tuple[tf.DType, tuple[int, ...]]]) -> int:
        """Check {input: (dtype, shape)} before any input is unpacked.

        Returns:
            Rows of the request: dimension 0 of every input.

        Raises:
            Refusal: an input does not fit; says what was expected.
        """
        self.check_names(signature, described)
        rows = set()
        for name, info in self.signature(signature).inputs.items():
            dtype, shape = described[name]
            expected = tf.TensorShape(info.tensor_shape)
            if dtype != tf.dtypes.as_dtype(info.dtype):
                wanted = tf.dtypes.as_dtype(info.dtype).name
                raise Refusal(
                    Code.INVALID_ARGUMENT, f"`{name}` must be {wanted}. Received: {dtype.name}"
                )
            if any(side < 0 for side in shape) or not expected.is_compatible_with(shape):
                raise Refusal(
                    Code.INVALID_ARGUMENT,
                    f"`{name}` must be of shape {_shape_text(expected)}. "
                    f"Received: {_shape_text(shape)}",
                )
            rows.add(shape[0])
        if len(rows) > 1:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"inputs differ in dimension 0: {', '.join(map(str, sorted(rows)))}",
            )
        (count,) = rows
        largest = self.batch_sizes[-1]
        if not 1 <= count <= largest:
            raise Refusal(
                Code.INVALID_ARGUMENT, f"a batch must have 1 to {largest} rows. Received: {count}"
            )
        return count


class Servable(AnyServable):
    """A SavedModel of a version folder.

    Batch sizes come from the model card, else from the warm-up requests.

    It runs in a session, as in TensorFlow Serving, so that its memory is freed with the last
    reference to the version. The functions of `tf.saved_model.load` are never freed (200 MB per
    version).

    Args:
        folder: the version's folder, `BASE/<number>`.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.version = int(folder.name)
        card = folder / "assets.extra" / CARD
        self.card = files.read_json(card) if card.is_file() else {}
        self.signature_defs = read_signature_defs(folder)
        for name, signature in self.signature_defs.items():
            infos = signature.inputs.values()
            if not infos or not all(len(info.tensor_shape.dim) for info in infos):
                raise ValueError(f"signature {name} has an input without a batch dimension")
        session = _load_session(folder)
        weakref.finalize(self, session.close)
        self._calls = {
            name: session.make_callable(
                {key: info.name for key, info in signature.outputs.items()},
                [info.name for info in signature.inputs.values()],
            )
            for name, signature in self.signature_defs.items()
        }
        self.batch_sizes = self._read_batch_sizes()

    def _read_batch_sizes(self) -> list[int]:
        if self.card:
            return sorted(self.card["batch_sizes"])
        requests = warmup.read(self.folder)
        sizes = {t.tensor_shape.dim[0].size for r in requests for t in r.inputs.values()}
        return sorted(sizes) or [1]

    def warm_up(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Answer the version's own requests, so that no later one waits for tracing."""
        for request in warmup.read(self.folder):
            if stopping():
                return
            name = request.model_spec.signature_name or DEFAULT_SIGNATURE
            self.run(name, {key: tf.make_ndarray(t) for key, t in request.inputs.items()})

    def run(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        values = [inputs[name] for name in self.signature_defs[signature].inputs]
        try:
            return self._calls[signature](*values)
        except tf.errors.InvalidArgumentError as error:
            raise Refusal(Code.INVALID_ARGUMENT, error.message) from None
        except tf.errors.OpError as error:
            raise Refusal(Code.INTERNAL, error.message) from None


def _load_session(folder: Path) -> tf.compat.v1.Session:
    session = tf.compat.v1.Session(graph=tf.Graph())
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it recommends the loader that frees no memory
    try:
        with session.graph.as_default(), files.for_tensorflow(folder) as name:
            tf.compat.v1.saved_model.load(session, ["serve"], name)
    finally:
        logger.setLevel(level)
    return session


def read_signature_defs(folder: Path) -> dict[str, meta_graph_pb2.SignatureDef]:
    """Read {name: SignatureDef} of a SavedModel, without TensorFlow's own signatures."""
    proto = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    (graph,) = [graph for graph in proto.meta_graphs if "serve" in graph.meta_info_def.tags]
    return {
        name: definition
        for name, definition in graph.signature_def.items()
        if not name.startswith("__")
    }


def _shape_text(shape) -> str:
    return f"[{', '.join('any' if side is None else str(side) for side in tuple(shape))}]"
