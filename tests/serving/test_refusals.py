"""Bad requests get the standard code and one line, and the server continues."""

import asyncio
import json
import random
import socket
import threading
import time

import grpc
import numpy as np
import psutil
import pytest
import tensorflow as tf
from serving_tools import (
    contexts,
    frames_of,
    make_server,
    near,
    refusal,
    request,
    rest,
    running,
)
from tensorflow_serving.apis import (
    prediction_service_pb2_grpc,
)

from tfvrnn.cli.serve import Options
from tfvrnn.config import UserError
from tfvrnn.serving.server.batcher import Batcher

BAD = {
    "context too short": (
        request(contexts()[:, :1]),
        "`frames` must be of shape [any, 2, 8, 8, 1]",
    ),
    "another size": (request(contexts().repeat(2, axis=2)), "Received: [2, 2, 16, 8, 1]"),
    "rank": (request(contexts()[0], np.zeros(1, np.int32)), "`frames` must be of shape"),
    "dtype": (request(contexts() / 255.0), "`frames` must be uint8. Received: float64"),
    "NaN": (request(np.full((1, 2, 8, 8, 1), np.nan, np.float32)), "must be uint8"),
    "seed of another dtype": (request(seeds=np.zeros(2)), "`seed` must be int32"),
    "no rows": (request(contexts(0)), "a batch must have 1 to 4 rows. Received: 0"),
    "too many rows": (request(contexts(5)), "a batch must have 1 to 4 rows. Received: 5"),
    "rows that differ": (request(seeds=np.zeros(3, np.int32)), "differ in dimension 0: 2, 3"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_refused(stub, name):
    asked, reason = BAD[name]
    code, found = refusal(lambda: stub.Predict(asked, timeout=60))
    assert code == "INVALID_ARGUMENT" and reason in found


def test_missing_and_extra_inputs_are_named(stub):
    asked = request()
    del asked.inputs["seed"]
    asked.inputs["sede"].CopyFrom(tf.make_tensor_proto([1]))
    code, reason = refusal(lambda: stub.Predict(asked, timeout=60))
    assert code == "INVALID_ARGUMENT"
    assert "Sent extra: {sede}. Missing but required: {seed}." in reason


def test_unknown_models_versions_and_signatures(server, stub):
    assert refusal(lambda: stub.Predict(request(name="other")))[0] == "NOT_FOUND"
    asked = request()
    asked.model_spec.version.value = 9
    assert refusal(lambda: stub.Predict(asked))[0] == "NOT_FOUND"
    code, reason = refusal(lambda: stub.Predict(request(signature="median")))
    assert code == "FAILED_PRECONDITION" and 'key "median" not found' in reason
    assert rest(server, "/v1/models/other:predict", {"inputs": {}})[0] == 404
    assert rest(server, "/v1/models/tfvrnn/versions/9:predict", {"inputs": {}})[0] == 404
    assert rest(server, f"/v1/models/tfvrnn/versions/{10**30}")[0] == 400
    assert rest(server, "/v1/models/tfvrnn/labels/stable")[0] == 400
    assert rest(server, f"/v1/models/tfvrnn/versions/{9 * 10**18 + 10**18}")[0] == 400
    code, reason = refusal(lambda: stub.Predict(request(name="x" * 100_000)))
    assert code == "NOT_FOUND" and len(reason) <= 1000
    code, reason = refusal(lambda: stub.Predict(request(name="日" * 10_000)))
    assert code == "NOT_FOUND" and "日日" in reason
    code, _ = refusal(lambda: stub.Classify(tf_classify()))
    assert code == "UNIMPLEMENTED"


def tf_classify():
    from tensorflow_serving.apis import classification_pb2

    return classification_pb2.ClassificationRequest()


def test_a_small_message_that_claims_a_huge_tensor_takes_no_memory(stub):
    asked = request()
    asked.inputs["frames"].tensor_shape.dim[0].size = 2**40
    asked.inputs["seed"].tensor_shape.dim[0].size = 2**40
    before = psutil.Process().memory_info().rss
    assert refusal(lambda: stub.Predict(asked))[0] == "INVALID_ARGUMENT"
    assert psutil.Process().memory_info().rss - before < 50e6
    asked = request()
    asked.inputs["frames"].tensor_content = b"short"
    code, reason = refusal(lambda: stub.Predict(asked))
    assert code == "INVALID_ARGUMENT" and "`frames` cannot be unpacked" in reason


def test_values_in_fields_instead_of_bytes(stub):
    asked = request(contexts(1))
    values = contexts(1).ravel().tolist()
    expected = frames_of(stub.Predict(asked, timeout=60))
    asked.inputs["frames"].ClearField("tensor_content")
    asked.inputs["frames"].int_val.extend(values)
    assert near(frames_of(stub.Predict(asked, timeout=60)), expected)
    for wrong in ([*values[:-1], 300], [*values, 0]):
        asked.inputs["frames"].ClearField("int_val")
        asked.inputs["frames"].int_val.extend(wrong)
        assert refusal(lambda: stub.Predict(asked, timeout=60))[0] == "INVALID_ARGUMENT"


def test_a_body_of_texts_takes_no_more_memory_than_its_own(server):
    before = psutil.Process().memory_info().rss
    body = {"inputs": {"frames": ["x" * 500_000] + ["y"] * 2_000, "seed": [1]}}
    status, answer = rest(server, body=body)
    assert status == 400 and "must have 1 to 4 rows" in answer["error"]
    assert psutil.Process().memory_info().rss - before < 50e6


def test_bytes_that_are_no_http_are_refused_silently(server, caplog):
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=60) as client:
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(64))  # the start of gRPC
        assert client.recv(64).startswith(b"HTTP/1.0 400 ")
    assert not caplog.records


def test_a_body_that_cannot_be_unpacked_is_refused(server):
    connection = http_connection(server)
    connection.request(
        "POST", "/v1/models/tfvrnn:predict", b"not gzip", {"Content-Encoding": "gzip"}
    )
    answer = connection.getresponse()
    assert answer.status == 400 and json.load(answer)["error"]
    connection.close()


FRAMES = contexts(1).tolist()
TOO_BRIGHT = (contexts(1).astype(int) + 256).tolist()


@pytest.mark.parametrize(
    "text,reason",
    [
        (b"", "JSON Parse error"),
        (b"{not json", "JSON Parse error"),
        (b"\xff\xfe", "JSON Parse error"),
        (b"[" * 100_000, "JSON Parse error"),
        (b"[]", "either `instances` or `inputs`"),
        ({"inputs": {}, "instances": []}, "either `instances` or `inputs`"),
        ({"instances": []}, "`instances` must be a list that is not empty"),
        ({"instances": 3}, "`instances` must be a list"),
        ({"instances": [{"frames": FRAMES[0]}]}, "Missing but required: {seed}"),
        ({"instances": [{"seed": 1}, {"frames": FRAMES[0]}]}, "with the same inputs"),
        ({"instances": FRAMES}, "the same inputs"),
        (
            {"inputs": {"frames": FRAMES, "seed": [1.5]}},
            "`seed` must be numbers of type int32 in shape [any]",
        ),
        ({"inputs": {"frames": FRAMES, "seed": ["1"]}}, "`seed` must be numbers"),
        ({"inputs": {"frames": FRAMES, "seed": [2**31]}}, "`seed` must lie in"),
        ({"inputs": {"frames": FRAMES, "seed": [10**30]}}, "`seed` must"),
        ({"inputs": {"frames": TOO_BRIGHT, "seed": [1]}}, "`frames` must lie in 0 to 255"),
        ({"inputs": {"frames": FRAMES, "seed": [True]}}, "`seed` must be numbers"),
        ({"inputs": {"frames": [[1], [2, 3]], "seed": [1]}}, "in shape [any, 2, 8, 8, 1]"),
        ({"inputs": {"frames": FRAMES * 5, "seed": [1] * 5}}, "must have 1 to 4 rows. Received: 5"),
        ({"inputs": {"frames": 7, "seed": [1]}}, "`frames` must be numbers of type uint8"),
        (b'{"inputs": {"frames": [NaN], "seed": [1]}}', "`frames` must be numbers"),
        ({"signature_name": 3, "inputs": {}}, "`signature_name` must be a string"),
    ],
)
def test_a_bad_body_is_refused(server, text, reason):
    text = text if isinstance(text, bytes) else json.dumps(text).encode()
    status, body = rest(server, text=text)
    assert status == 400 and reason in body["error"] and "\n" not in body["error"]


def test_unknown_paths_are_refused(server):
    for path in ("/v1", "/v1/models", "/v1/models/tfvrnn:explain", "/v1/models/tfvrnn/versions/x"):
        status, body = rest(server, path)
        assert status == 400 and body["error"].startswith("Malformed request: GET")


def test_oversized_requests_are_refused(server, stub):
    status, body = rest(server, text=b" " * (2**20 + 1))
    assert status == 413 and "at most 1048576 bytes" in body["error"]
    huge = request(np.zeros((2**14, 2, 8, 8, 1), np.uint8))
    assert refusal(lambda: stub.Predict(huge))[0] == "RESOURCE_EXHAUSTED"
    assert len(frames_of(stub.Predict(request(), timeout=60))) == 2


def test_a_full_queue_is_unavailable_and_deadlines_are_honoured(base):
    with running(base, queue=2, batching=False, request_timeout=0.5) as server:
        servable = server.manager.find("tfvrnn", None)
        run, computed = servable.run, []

        def slow(name, inputs):
            computed.append(int(inputs["seed"][0]))
            time.sleep(1.0)
            return run(name, inputs)

        servable.run = slow
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            one = [request(contexts(1), np.array([k], np.int32)) for k in range(5)]
            first = stub.Predict.future(one[0], timeout=60)
            time.sleep(0.3)
            late = stub.Predict.future(one[1], timeout=0.2)
            kept = stub.Predict.future(one[2], timeout=60)
            time.sleep(0.1)
            code, reason = refusal(lambda: stub.Predict(one[3], timeout=60))
            assert code == "UNAVAILABLE" and "the queue is full" in reason
            assert refusal(late.result)[0] == "DEADLINE_EXCEEDED"
            first.result(), kept.result()
            body = {"inputs": {"frames": FRAMES, "seed": [9]}}
            status, answer = rest(server, body=body)
            assert status == 504 and "within 0.5 seconds" in answer["error"]
        # Requests that nobody waited for any more were not computed.
        assert computed == [0, 2, 9]


def test_stopping_answers_the_running_requests(base):
    with running(base) as server:
        servable = server.manager.find("tfvrnn", None)
        run = servable.run

        def slow(name, inputs):
            time.sleep(0.5)
            return run(name, inputs)

        servable.run = slow
        channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        call = stub.Predict.future(request(), timeout=60)
        time.sleep(0.2)
    assert len(frames_of(call.result())) == 2
    assert refusal(lambda: stub.Predict(request(), timeout=5))[0] == "UNAVAILABLE"
    channel.close()


def test_requests_before_the_model_is_warm_are_unavailable(base, monkeypatch):
    from tfvrnn.serving import servable

    may_load, loaded = threading.Event(), servable.Servable.warm_up

    def warm_up(self, stopping):
        may_load.wait(30)
        loaded(self, stopping)

    monkeypatch.setattr(servable.Servable, "warm_up", warm_up)
    release = threading.Timer(1.5, may_load.set)

    async def ask():
        server = make_server(base)
        await server.start()
        await asyncio.sleep(0.5)
        early = await asyncio.to_thread(rest, server, "/v1/models/tfvrnn")
        refused = await asyncio.to_thread(rest, server, body={"inputs": {}})
        release.start()
        await asyncio.wait_for(server.manager.ready.wait(), 60)
        late = await asyncio.to_thread(rest, server, "/v1/models/tfvrnn")
        await server.stop()
        return early, refused, late

    early, refused, late = asyncio.run(ask())
    assert early[1]["model_version_status"][0]["state"] == "LOADING"
    assert refused == (503, {"error": "tfvrnn is loading"})
    assert late[1]["model_version_status"][0]["state"] == "AVAILABLE"


def test_a_port_in_use_and_an_export_without_a_version(base, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for option in ("port", "rest_port"):
            with (
                pytest.raises(UserError, match=f"cannot listen at 127.0.0.1:{port}: Address"),
                running(base, **{option: port}),
            ):
                pass
    with pytest.raises(UserError, match="no version in"), running(tmp_path):
        pass
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").touch()
    with pytest.raises(UserError, match=f"it is a version of {tmp_path}$"), running(tmp_path / "1"):
        pass


def test_equal_ports_and_requests_beyond_grpc_are_refused():
    with pytest.raises(UserError, match="`port` and `rest_port` must differ"):
        Options(export="base", port=8500, rest_port=8500)
    with pytest.raises(UserError, match="`max_request_mb` must be below 2048"):
        Options(export="base", max_request_mb=2048)


def test_stopping_while_a_version_warms_up_does_not_wait_for_all_of_it(base, monkeypatch):
    from tfvrnn.serving import servable

    answered = []

    def slow(self, name, inputs):
        answered.append(name)
        time.sleep(0.5)

    monkeypatch.setattr(servable.Servable, "run", slow)

    async def start_and_stop():
        server = make_server(base)
        await server.start()
        while not answered:
            await asyncio.sleep(0.05)
        await server.stop()

    asyncio.run(start_and_stop())
    assert 1 <= len(answered) <= 2  # of nine requests


def test_a_failed_batch_does_not_end_the_worker(base):
    class Broken:
        batch_sizes = (1,)

        def run(self, name, inputs):
            raise MemoryError("no more")

    async def ask():
        batcher = Batcher(4)
        found = []
        for _ in range(2):
            try:
                await batcher.predict(Broken(), "x", {"frames": np.zeros((1, 2))}, 1)
            except Exception as error:
                found.append(str(error))
        await batcher.close()
        return found

    assert asyncio.run(ask()) == ["MemoryError: no more"] * 2


# 10,000 random or mutated requests.


def mutated(rng, valid):
    data = bytearray(valid)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(data))
        action = rng.randrange(3)
        if action == 0:
            data[place] = rng.randrange(256)
        elif action == 1:
            del data[place : place + rng.randint(1, 20)]
        else:
            data[place:place] = rng.randbytes(rng.randint(1, 20))
        data = data or bytearray(1)
    return bytes(data)


@pytest.mark.thorough
def test_ten_thousand_mutated_requests_do_no_harm(server, stub):
    rng = random.Random(0)
    valid = request(contexts(1)).SerializeToString()
    text = json.dumps({"inputs": {"frames": FRAMES, "seed": [1]}}).encode()
    raw_stub = grpc.insecure_channel(f"127.0.0.1:{server.port}")
    raw = raw_stub.unary_unary("/tensorflow.serving.PredictionService/Predict")
    connection = http_connection(server)
    codes, memory = set(), []
    for number in range(10_000):
        if number % 2:
            try:
                raw(mutated(rng, valid) if number % 5 else rng.randbytes(200), timeout=60)
                codes.add("OK")
            except grpc.RpcError as error:
                codes.add(error.code().name)
        else:
            body = mutated(rng, text) if number % 5 else rng.randbytes(200)
            connection.request("POST", "/v1/models/tfvrnn:predict", body)
            answer = connection.getresponse()
            answer.read()
            codes.add(answer.status)
        if number in (2_000, 9_999):
            memory.append(psutil.Process().memory_info().rss)
    raw_stub.close()
    connection.close()
    assert codes <= {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "INTERNAL",
                     200, 400, 404, 412}  # fmt: skip
    assert memory[1] - memory[0] < 60e6
    assert len(frames_of(stub.Predict(request(), timeout=60))) == 2


def http_connection(server):
    import http.client

    return http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=60)
