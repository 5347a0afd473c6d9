"""Float64 NumPy references, written from the equations and sharing no code with the package."""

import numpy as np


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def conv_same(x, kernel, bias=0.0):
    """Correlate at stride 1 with zero padding: x [N, H, W, C], kernel [k, k, C, F], k odd."""
    side = kernel.shape[0]
    pad = side // 2
    height, width = x.shape[1:3]
    padded = np.pad(x, [(0, 0), (pad, pad), (pad, pad), (0, 0)])
    y = np.zeros((*x.shape[:3], kernel.shape[3]))
    for row in range(side):
        for column in range(side):
            window = padded[:, row : row + height, column : column + width]
            y += window @ kernel[row, column]
    return y + bias


def group_norm(x, scale, offset, groups, epsilon=1e-5):
    frames, height, width, channels = x.shape
    split = x.reshape(frames, height, width, groups, channels // groups)
    mean = split.mean(axis=(1, 2, 4), keepdims=True)
    variance = split.var(axis=(1, 2, 4), keepdims=True)
    normal = (split - mean) / np.sqrt(variance + epsilon)
    return normal.reshape(x.shape) * scale + offset


def conv_lstm_step(x, hidden, cell, weights, groups):
    """Take one step with the weights in the order that ConvLSTMCell documents."""
    (kx, bx, sx, ox, kh, bh, sh, oh, sc, oc) = [np.asarray(w, np.float64) for w in weights]
    filters = len(sc)
    gate_groups, cell_groups = min(groups, 4 * filters), min(groups, filters)
    gates = group_norm(conv_same(x, kx, bx), sx, ox, gate_groups)
    gates += group_norm(conv_same(hidden, kh, bh), sh, oh, gate_groups)
    i, f, o, g = np.split(gates, 4, axis=-1)
    raw = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
    cell = group_norm(raw, sc, oc, cell_groups)
    return sigmoid(o) * np.tanh(cell), cell


def moving_digit(frames, side, rng):
    """Return (y, x) of one digit of stochastic Moving MNIST, by the rule in the paper's code."""
    patch = side // 2
    limit, fastest = side - patch, max(1, 4 * side // 64)
    sx, sy = rng.integers(0, limit, 2)
    dx, dy = rng.integers(-fastest, fastest + 1, 2)
    places = []
    for _ in range(frames):
        if sy < 0:
            sy, dy, dx = 0, rng.integers(1, fastest + 1), rng.integers(-fastest, fastest + 1)
        elif sy >= limit:
            sy, dy = limit - 1, rng.integers(-fastest, 0)
            dx = rng.integers(-fastest, fastest + 1)
        if sx < 0:
            sx, dx, dy = 0, rng.integers(1, fastest + 1), rng.integers(-fastest, fastest + 1)
        elif sx >= limit:
            sx, dx = limit - 1, rng.integers(-fastest, 0)
            dy = rng.integers(-fastest, fastest + 1)
        places.append((sy, sx))
        sy, sx = sy + dy, sx + dx
    return np.array(places)
