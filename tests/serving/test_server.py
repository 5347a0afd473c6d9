"""Test the answers of a running server."""

import asyncio
import ctypes
import gc
import shutil
import time
import zipfile
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest
import tensorflow as tf
from serving_tools import (
    AVAILABLE,
    HORIZON,
    contexts,
    frames_of,
    near,
    refusal,
    request,
    rest,
    running,
)
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tiny_models import Drift

from tfvrnn.serving import export
from tfvrnn.serving.client import Client
from tfvrnn.serving.servable import Servable

EXPORT = Path(__file__).parents[1] / "old" / "0.1.0" / "export.zip"


def test_grpc_predict_gives_the_saved_models_frames(stub, signature):
    response = stub.Predict(request(), timeout=60)
    found = frames_of(response)
    assert found.dtype == np.uint8 and found.shape == (2, HORIZON, 8, 8, 1)
    expected = signature(frames=tf.constant(contexts()), seed=tf.constant([0, 1]))
    assert near(found, expected["frames"].numpy())
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "serving_default"


def test_other_signatures(stub):
    several = frames_of(stub.Predict(request(signature="samples"), timeout=60))
    assert several.shape == (2, 2, HORIZON, 8, 8, 1)
    assert near(several[:, 0], frames_of(stub.Predict(request(), timeout=60)))
    mean = frames_of(stub.Predict(request(signature="mean"), timeout=60))
    assert mean.shape == (2, HORIZON, 8, 8, 1)


def test_rest_predict_by_rows_and_by_columns(server, stub):
    expected = frames_of(stub.Predict(request(), timeout=60))
    frames = contexts().tolist()
    rows = {"instances": [{"frames": f, "seed": k} for k, f in enumerate(frames)]}
    status, body = rest(server, body=rows)
    assert status == 200 and near(np.array(body["predictions"]), expected)
    # An empty name is the default signature, as in gRPC.
    columns = {"signature_name": "", "inputs": {"frames": frames, "seed": [0, 1]}}
    status, body = rest(server, body=columns)
    assert status == 200 and near(np.array(body["outputs"]), expected)
    mean = frames_of(stub.Predict(request(signature="mean"), timeout=60))
    for body in ({"instances": frames}, {"inputs": frames}, {"inputs": {"frames": frames}}):
        status, found = rest(server, body={"signature_name": "mean", **body})
        (found,) = found.values()
        assert status == 200 and near(np.array(found), mean)


def test_a_version_may_be_named(server, stub):
    named = request()
    named.model_spec.version.value = 1
    assert near(frames_of(stub.Predict(named, timeout=60)), frames_of(stub.Predict(request())))
    body = {"inputs": {"frames": contexts().tolist(), "seed": [0, 1]}}
    assert rest(server, "/v1/models/tfvrnn/versions/1:predict", body)[0] == 200


def test_output_filter(stub):
    asked = request()
    asked.output_filter.append("frames")
    assert list(stub.Predict(asked, timeout=60).outputs) == ["frames"]
    asked.output_filter.append("pixels")
    code, reason = refusal(lambda: stub.Predict(asked, timeout=60))
    assert code == "INVALID_ARGUMENT" and "output tensor alias not found" in reason


def test_metadata_and_status(server, stub):
    asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    asked.model_spec.name = "tfvrnn"
    found = get_model_metadata_pb2.SignatureDefMap()
    stub.GetModelMetadata(asked).metadata["signature_def"].Unpack(found)
    assert set(found.signature_def) == {"serving_default", "samples", "mean", "begin", "step"}
    sides = found.signature_def["serving_default"].inputs["frames"].tensor_shape.dim
    assert [side.size for side in sides] == [-1, 2, 8, 8, 1]
    status, body = rest(server, "/v1/models/tfvrnn/metadata")
    assert status == 200 and body["model_spec"]["version"] == "1"
    definitions = body["metadata"]["signature_def"]["signature_def"]
    assert definitions["mean"]["inputs"]["frames"]["dtype"] == "DT_UINT8"
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        service = model_service_pb2_grpc.ModelServiceStub(channel)
        question = get_model_status_pb2.GetModelStatusRequest()
        question.model_spec.name = "tfvrnn"
        (version,) = service.GetModelStatus(question).model_version_status
        assert (version.version, version.state) == (1, AVAILABLE)
        question.model_spec.name = "other"
        assert refusal(lambda: service.GetModelStatus(question))[0] == "NOT_FOUND"
    status, body = rest(server, "/v1/models/tfvrnn")
    assert status == 200 and body["model_version_status"] == [
        {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    ]


def test_requests_that_wait_together_are_one_batch_and_give_the_frames_of_single_ones(base):
    batches = []
    with running(base) as server:
        servable = server.manager.find("tfvrnn", None)
        run = servable.run

        def slow(name, inputs):
            batches.append(len(inputs["frames"]))
            time.sleep(0.3)
            return run(name, inputs)

        servable.run = slow
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            asked = [request(contexts(1, k), np.array([k], np.int32)) for k in range(5)]
            calls = [stub.Predict.future(one, timeout=60) for one in asked]
            together = [frames_of(call.result()) for call in calls]
            assert sum(batches) < 10 and len(batches) < 5 and max(batches) > 1
            assert set(batches) <= {1, 2, 4}
            for one, frames in zip(asked, together):
                assert near(frames_of(stub.Predict(one, timeout=60)), frames)


def test_the_packages_client(server, signature):
    with Client(f"127.0.0.1:{server.port}") as client:
        found = client.sample(contexts(), [0, 1])
        assert set(client.signatures()) == {"serving_default", "samples", "mean", "begin", "step"}
    expected = signature(frames=tf.constant(contexts()), seed=tf.constant([0, 1]))
    assert near(found, expected["frames"].numpy())


def test_the_client_asks_again_where_the_server_is_unavailable_with_messages_of_any_size():
    asked = []

    async def predict(data, context):
        asked.append(len(data))
        if len(asked) < 3:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "full")
        frames = {"frames": tf.make_tensor_proto(np.zeros((1, 1), np.uint8))}
        return predict_pb2.PredictResponse(outputs=frames).SerializeToString()

    async def serve_and_ask():
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
        handlers = {"Predict": grpc.unary_unary_rpc_method_handler(predict)}
        service = "tensorflow.serving.PredictionService"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        with Client(f"127.0.0.1:{port}") as client:
            frames = np.zeros((1, 8_000_000), np.uint8)
            found = await asyncio.to_thread(client.sample, frames, [1])
        await server.stop(0)
        return found

    assert asyncio.run(serve_and_ask()).shape == (1, 1)
    assert len(asked) == 3 and min(asked) > 8_000_000


# New versions.


def wait_for(server, version, state):
    for _ in range(400):
        if server.manager.states.get(version, ("",))[0] == state:
            return
        time.sleep(0.05)
    raise AssertionError(f"version {version} is not {state}: {server.manager.states}")


def test_a_new_version_takes_over_and_a_broken_one_does_not(tmp_path, capfd):
    base = tmp_path / "base"
    export.export_model(Drift(), base, 1, 1, None, 1)
    with running(base) as server:
        export.export_model(Drift(), base, 2, 1, None, 1)
        wait_for(server, 2, "AVAILABLE")
        wait_for(server, 1, "END")
        frames = np.zeros((1, 3, 8, 8, 3), np.uint8)
        with Client(f"127.0.0.1:{server.port}") as client:
            assert client.sample(frames, [1]).shape == (1, 2, 8, 8, 3)
            (base / "\u00b2").mkdir()  # a digit to some functions, a number to none
            (base / "3").mkdir()
            (base / "3" / "link").symlink_to("nowhere")
            (base / "3" / "saved_model.pb").write_bytes(b"not a model")
            wait_for(server, 3, "END")
            assert client.sample(frames, [1]).shape == (1, 2, 8, 8, 3)
        _, body = rest(server, "/v1/models/tfvrnn/versions/3")
        assert body["model_version_status"][0]["status"]["error_code"] == "INTERNAL"
        # Once its files are whole, it is tried again. Once its folder goes, the one before serves.
        shutil.copytree(base / "2", base / "3", dirs_exist_ok=True)
        wait_for(server, 3, "AVAILABLE")
        shutil.rmtree(base / "3")
        wait_for(server, 2, "AVAILABLE")
    assert "version 3 cannot be loaded" in capfd.readouterr().err


@pytest.mark.thorough
def test_a_version_that_is_written_anew_is_loaded_again(tmp_path):
    frames = np.zeros((1, 3, 8, 8, 3), np.uint8)
    base, horizons = tmp_path / "base", (1, 3, 5)
    for horizon in horizons:
        export.export_model(Drift(), tmp_path / str(horizon), horizon, 1, None, 1)
    base.mkdir()
    (tmp_path / "1" / "1").rename(base / "1")
    with running(base) as server, Client(f"127.0.0.1:{server.port}") as client:
        assert client.sample(frames, [1]).shape[1] == 1
        for horizon, name in ((3, "1"), (5, "001")):  # a number may begin with zeros
            shutil.rmtree(next(base.iterdir()))
            (tmp_path / str(horizon) / "1").rename(base / name)
            for _ in range(400):
                if client.sample(frames, [1]).shape[1] == horizon:
                    break
                time.sleep(0.05)
            assert client.sample(frames, [1]).shape[1] == horizon
        assert server.manager.states[1][0] == "AVAILABLE"


def memory() -> int:
    """Return the bytes in use, after the allocator has given back its reserve."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    return psutil.Process().memory_info().rss


@pytest.mark.thorough
def test_a_version_that_is_gone_gives_its_memory_back(tmp_path):
    """The export is a VRNN's, because a smaller model would leave too little memory to see."""
    with zipfile.ZipFile(EXPORT) as archive:
        archive.extractall(tmp_path)

    def load():
        servable = Servable(tmp_path / "1")
        servable.warm_up()

    load()
    before = memory()
    for _ in range(3):
        load()
    # With functions that are never freed, each version took 200 MB.
    assert memory() - before < 150e6
