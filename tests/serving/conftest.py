import grpc
import pytest
import tensorflow as tf
from serving_tools import HORIZON, LARGEST, running
from tensorflow_serving.apis import prediction_service_pb2_grpc
from tiny_models import GreyDrift

from tfvrnn.serving import export


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """Export a quick model: the server does not depend on the model."""
    base = tmp_path_factory.mktemp("export") / "base"
    export.export_model(GreyDrift(), base, HORIZON, 2, None, LARGEST)
    return base


@pytest.fixture(scope="session")
def server(base):
    with running(base, max_request_mb=1, queue=8) as server:
        yield server


@pytest.fixture(scope="session")
def stub(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="session")
def signature(base):
    return tf.saved_model.load(str(base / "1")).signatures["serving_default"]
