"""TensorFlow Serving's gRPC services over a manager and a batcher."""

import traceback

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
)

from tfvrnn.serving.errors import Code, Refusal
from tfvrnn.serving.servable import DEFAULT_SIGNATURE, AnyServable
from tfvrnn.serving.server.batcher import Batcher
from tfvrnn.serving.server.version_manager import ServedModel

SIGNATURES = "signature_def"
Status = get_model_status_pb2.ModelVersionStatus


def add_services(server: grpc.aio.Server, manager: ServedModel, batcher: Batcher) -> None:
    """Add Predict, GetModelMetadata and GetModelStatus; other methods are UNIMPLEMENTED."""

    async def predict(request):
        return await answer(manager, batcher, request)

    async def metadata(request):
        return model_metadata(manager, request)

    async def status(request):
        return model_status(manager, request.model_spec)

    services = {
        "tensorflow.serving.PredictionService": {
            "Predict": (predict, predict_pb2.PredictRequest),
            "GetModelMetadata": (metadata, get_model_metadata_pb2.GetModelMetadataRequest),
        },
        "tensorflow.serving.ModelService": {
            "GetModelStatus": (status, get_model_status_pb2.GetModelStatusRequest),
        },
    }
    for service, methods in services.items():
        handlers = {name: _handler(*method) for name, method in methods.items()}
        generic = grpc.method_handlers_generic_handler(service, handlers)
        server.add_generic_rpc_handlers((generic,))


def _handler(function, request_class) -> grpc.RpcMethodHandler:
    """Make a method whose refusals become status codes.

    The method takes bytes. If gRPC itself parsed a damaged message, it would answer UNKNOWN and
    log a traceback.
    """

    async def handle(data, context):
        try:
            try:
                request = request_class.FromString(data)
            except DecodeError as error:
                raise Refusal(Code.INVALID_ARGUMENT, f"not a request: {error}") from None
            return await function(request)
        except Refusal as refusal:
            found = refusal
        # A bug is reported on standard error, and to the client in one line.
        except Exception as error:
            traceback.print_exc()
            found = Refusal(Code.INTERNAL, f"{type(error).__name__}: {error}")
        await context.abort(grpc.StatusCode[found.code.name], str(found))

    def serialize(response: Message) -> bytes:
        return response.SerializeToString()

    return grpc.unary_unary_rpc_method_handler(handle, response_serializer=serialize)


async def answer(
    manager: ServedModel, batcher: Batcher, request: predict_pb2.PredictRequest
) -> predict_pb2.PredictResponse:
    """Answer a PredictRequest."""
    servable = find(manager, request.model_spec)
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    rows = servable.check(name, {key: describe(t) for key, t in request.inputs.items()})
    wanted = check_filter(servable, name, list(request.output_filter))
    inputs = {key: unpack(key, tensor) for key, tensor in request.inputs.items()}
    outputs = await batcher.predict(servable, name, inputs, rows)
    response = predict_pb2.PredictResponse()
    fill_spec(response.model_spec, manager.name, servable.version)
    response.model_spec.signature_name = name
    for key in wanted:
        response.outputs[key].CopyFrom(tf.make_tensor_proto(outputs[key]))
    return response


def find(manager: ServedModel, spec: model_pb2.ModelSpec) -> AnyServable:
    """Return the version that a request names, or raise Refusal if there is none."""
    version = spec.version.value if spec.HasField("version") else None
    return manager.find(spec.name, version, spec.version_label)


def fill_spec(spec: model_pb2.ModelSpec, name: str, version: int) -> None:
    """Write name and version into a ModelSpec."""
    spec.name = name
    spec.version.value = version


def describe(tensor: tensor_pb2.TensorProto) -> tuple[tf.DType, tuple[int, ...]]:
    """Read (dtype, shape) of a TensorProto, before its values are unpacked.

    A proto of few bytes may claim any shape, and unpacking it would fill that much memory.
    """
    try:
        dtype = tf.dtypes.as_dtype(tensor.dtype)
    except TypeError:
        raise Refusal(Code.INVALID_ARGUMENT, f"no such dtype: {tensor.dtype}") from None
    if tensor.tensor_shape.unknown_rank:
        raise Refusal(Code.INVALID_ARGUMENT, "a tensor must have a shape")
    return dtype, tuple(dim.size for dim in tensor.tensor_shape.dim)


def unpack(name: str, tensor: tensor_pb2.TensorProto) -> np.ndarray:
    """Unpack a checked TensorProto into an array."""
    try:
        return tf.make_ndarray(tensor)
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise Refusal(Code.INVALID_ARGUMENT, f"`{name}` cannot be unpacked: {error}") from None


def check_filter(servable: AnyServable, signature: str, wanted: list[str]) -> list[str]:
    """List the outputs that a request wants; all of them if it names none."""
    outputs = sorted(servable.signature(signature).outputs)
    for alias in wanted:
        if alias not in outputs:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {{{','.join(outputs)}}}.",
            )
    if len(set(wanted)) < len(wanted):
        raise Refusal(Code.INVALID_ARGUMENT, f"duplicate output tensor alias in {wanted}")
    return wanted or outputs


def model_metadata(
    manager: ServedModel, request: get_model_metadata_pb2.GetModelMetadataRequest
) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """Answer a GetModelMetadataRequest."""
    servable = find(manager, request.model_spec)
    fields = list(request.metadata_field)
    if not fields or set(fields) != {SIGNATURES}:
        reason = f"`metadata_field` must be {SIGNATURES}. Received: {fields}"
        raise Refusal(Code.INVALID_ARGUMENT, reason)
    definitions = get_model_metadata_pb2.SignatureDefMap(signature_def=servable.signature_defs)
    packed = any_pb2.Any()
    packed.Pack(definitions)
    response = get_model_metadata_pb2.GetModelMetadataResponse(metadata={SIGNATURES: packed})
    fill_spec(response.model_spec, manager.name, servable.version)
    return response


def model_status(
    manager: ServedModel, spec: model_pb2.ModelSpec
) -> get_model_status_pb2.GetModelStatusResponse:
    """Answer a GetModelStatusRequest."""
    if spec.name != manager.name:
        raise Refusal(Code.NOT_FOUND, f"Could not find any versions of model {spec.name}")
    if spec.version_label:
        reason = f"Unrecognized servable version label: {spec.version_label}"
        raise Refusal(Code.INVALID_ARGUMENT, reason)
    wanted = spec.version.value if spec.HasField("version") else None
    response = get_model_status_pb2.GetModelStatusResponse()
    for version, (state, reason) in sorted(manager.states.items(), reverse=True):
        if wanted in (None, version):
            status = response.model_version_status.add(
                version=version, state=Status.State.Value(state)
            )
            status.status.SetInParent()
            if reason:
                status.status.error_code = 13  # INTERNAL
                status.status.error_message = reason
    if not response.model_version_status:
        reason = f"Could not find version {wanted} of model {spec.name}"
        raise Refusal(Code.NOT_FOUND, reason)
    return response
