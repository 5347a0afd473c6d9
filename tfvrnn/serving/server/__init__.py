"""A server with TensorFlow Serving's interfaces, for laptops and tests."""

from tfvrnn.serving.server.server import Server, serve

__all__ = ["Server", "serve"]
