"""Test how a client finds a server and waits for it."""

import errno
import itertools
import os
import socket
import types

import grpc
import numpy as np
import pytest

from tfvrnn.cli import predict
from tfvrnn.config import UserError
from tfvrnn.serving import client, samplers
from tfvrnn.serving.server import server

SERVER = "localhost:8500"


class Starting(grpc.RpcError):
    def code(self):
        return grpc.StatusCode.UNAVAILABLE

    def details(self):
        return "tfvrnn is loading"


@pytest.fixture
def pauses(monkeypatch):
    """Make time pass only by pauses, and return the list of pauses."""
    taken = []
    fake = types.SimpleNamespace(monotonic=lambda: sum(taken), sleep=taken.append)
    monkeypatch.setattr(samplers, "time", fake)
    return taken


def asked(ready_after):
    """Make a client whose server is up at the n-th request."""
    numbers = itertools.count(1)

    def signatures():
        if next(numbers) < ready_after:
            raise Starting
        return {"serving_default": 1}

    return types.SimpleNamespace(signatures=signatures)


def test_a_server_that_starts_is_asked_again_after_longer_pauses(pauses, capsys):
    assert samplers._when_ready(asked(6), SERVER, 60.0) == {"serving_default": 1}
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6]
    assert capsys.readouterr().err == "waiting for localhost:8500\n"


def test_a_server_that_never_starts_is_given_up_with_a_line_now_and_then(pauses, capsys):
    with pytest.raises(Starting):
        samplers._when_ready(asked(10**6), SERVER, 60.0)
    assert sum(pauses) == pytest.approx(60.0)
    assert max(pauses) == samplers.LAST_PAUSE and len(pauses) < 40
    assert 3 <= capsys.readouterr().err.count("waiting for localhost:8500\n") <= 7


def test_a_server_that_loads_for_too_long_is_said_to_be_loading():
    def refuse():
        raise Starting

    with pytest.raises(
        UserError, match=r"in time \(see --timeout\): UNAVAILABLE: tfvrnn is loading"
    ):
        samplers._refusals_of(refuse, SERVER)()


def test_a_missing_host_is_reported_at_once(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(samplers.socket, "getaddrinfo", unknown)
    monkeypatch.setattr(samplers, "Client", None)  # not even made
    with pytest.raises(UserError, match="no host nosuchhost: Name or service not known"):
        samplers.of_server("nosuchhost:8500", "tfvrnn", 60.0)
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"no host x{70}: "):
        samplers.of_server("x" * 70 + ":8500", "tfvrnn", 60.0)


@pytest.mark.parametrize("address", ["localhost:1", "10.0.0.1:65535", "[::1]:8500", "[fe80::1]:1"])
def test_an_address(address):
    assert predict.Options(server=address, video="a.mp4").server == address


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "localhost:99999",
            "`server` must have a port from 1 to 65535. Received: 'localhost:99999'",
        ),
        ("localhost:0", "must have a port from 1 to 65535"),
        ("::1:8500", r"Received: '::1:8500'; in brackets: [::1]:8500"),
        ("fe80::1:2:8500", "in brackets: [fe80::1:2]:8500"),
        (
            "[localhost]:8500",
            "must be HOST:PORT of gRPC, without a scheme: localhost:8500 or [::1]:8500",
        ),
        ("[::1]", "must be HOST:PORT"),
        ("a:b:1", "must be HOST:PORT"),
        (":8500", "must be HOST:PORT"),
        ("localhost:٣", "must be HOST:PORT"),
        ("local host:1", "must be HOST:PORT"),
        ("dns:///localhost:1", "must be HOST:PORT"),
    ],
)
def test_what_is_no_address(address, message):
    with pytest.raises(UserError) as caught:
        predict.Options(server=address, video="a.mp4")
    assert message in str(caught.value)


PROXY = {"http_proxy": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("environment", "target", "expected"),
    [
        ({}, "far.example:8500", False),
        (PROXY, "far.example:8500", True),
        (PROXY, "localhost:8500", False),
        (PROXY, "127.0.0.2:8500", False),
        (PROXY, "[::1]:8500", False),
        (PROXY | {"no_proxy": "near.example"}, "a.near.example:8500", False),
        (PROXY | {"NO_PROXY": "*"}, "far.example:8500", False),
        (PROXY | {"no_proxy": "near.example"}, "far.example:8500", True),
    ],
)
def test_a_proxy_is_asked_for_far_servers_only(monkeypatch, environment, target, expected):
    for name in ("http", "https", "grpc", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert client.by_proxy(target) is expected
    given = []
    monkeypatch.setattr(client.grpc, "insecure_channel", lambda _, options: given.extend(options))
    stubs = client.prediction_service_pb2_grpc
    monkeypatch.setattr(stubs, "PredictionServiceStub", lambda channel: None)
    client.Client(target)
    assert ("grpc.enable_http_proxy", int(expected)) in given


@pytest.mark.parametrize("host", [".x", "a" * 64 + ".de"])
def test_what_is_no_host_name_is_no_address(host):
    with pytest.raises(UserError, match=r"cannot listen at .*: not a host name"):
        server.listen(host, 0)


def test_all_addresses_are_those_of_ipv4_too():
    try:
        server.listen("::", 0).close()
    except UserError:
        pytest.skip("no IPv6 here")
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError) as caught:
            server.listen("::", port)
    assert f"cannot listen at [::]:{port}: {os.strerror(errno.EADDRINUSE)}" in str(caught.value)


@pytest.mark.parametrize("seeds", [[2**31], np.array([2**31 + 1]), [1.5], [True]], ids=str)
def test_a_client_refuses_seeds_that_do_not_fit(seeds):
    with client.Client("127.0.0.1:1") as asked, pytest.raises(ValueError, match="32 bits"):
        asked.sample(np.zeros((1, 2, 8, 8, 1), np.uint8), seeds)
