"""Stochastic video prediction with hierarchical VRNNs in TensorFlow and Keras."""

__version__ = "0.1.0"
