"""JSON numbers become an input's dtype without loss, and malformed bodies raise no alarm."""

import gzip
import json
import logging

import numpy as np
import pytest
import tensorflow as tf
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from tensorflow.core.protobuf import meta_graph_pb2

from tfvrnn.serving.errors import Refusal
from tfvrnn.serving.server import rest


def info(dtype, shape):
    spec = tf.TensorSpec(shape, dtype)
    return meta_graph_pb2.TensorInfo(
        dtype=dtype.as_datatype_enum, tensor_shape=spec.shape.as_proto()
    )


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (tf.float32, 1e39),
        (tf.float32, -1e39),
        (tf.float32, 10**400),
        (tf.float16, 70_000.0),
        (tf.bfloat16, 3.4e38),
        (tf.float64, 10**400),
    ],
)
def test_numbers_beyond_the_dtype_are_refused(dtype, value):
    with pytest.raises(Refusal, match=f"`x` does not fit {dtype.name}"):
        rest.to_array("x", [[1, value]], info(dtype, [None, 2]), 4)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float32, tf.float64])
def test_numbers_that_fit_are_rounded(dtype):
    found = rest.to_array(
        "x", json.loads("[[1, 0.1], [-Infinity, NaN]]"), info(dtype, [None, 2]), 4
    )
    assert found.dtype == dtype.as_numpy_dtype
    expected = np.array([[1, 0.1], [-np.inf, np.nan]]).astype(found.dtype)
    np.testing.assert_array_equal(found.astype(float), expected.astype(float))


def test_integers_keep_all_their_digits():
    found = rest.to_array("x", [2**63 - 1, -(2**63)], info(tf.int64, [None]), 4)
    assert found.dtype == np.int64 and found.tolist() == [2**63 - 1, -(2**63)]


@pytest.mark.parametrize("error", [web.RequestPayloadError("not gzip"), HttpProcessingError()])
def test_the_log_has_no_malformed_requests(error, caplog):
    with caplog.at_level(logging.ERROR, rest.__name__):
        rest.log().error("Unhandled exception", exc_info=error)
        assert not caplog.records
        rest.log().error("Unhandled exception", exc_info=gzip.BadGzipFile())
    assert len(caplog.records) == 1
