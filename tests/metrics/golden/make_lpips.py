"""Makes lpips.npz and the three small .pth files, with torch, torchvision and lpips 0.1.4.

The trunks are random, as NumPy draws them, so that they need not be stored; the heads are the
package's own. The images are drawn by NumPy as well.
"""

from pathlib import Path

import lpips
import numpy as np
import torch
from inputs import images, trunk_arrays

HERE = Path(__file__).parent


def distances(trunk):
    network = lpips.LPIPS(net=trunk, pnet_rand=True, verbose=False).eval()
    slices = dict(network.net.named_modules())
    for name, (kernel, bias) in trunk_arrays(trunk).items():
        layer = next(module for path, module in slices.items() if path.endswith(f".{name}"))
        layer.weight.data = torch.tensor(kernel.transpose(3, 2, 0, 1).copy())
        layer.bias.data = torch.tensor(bias)
    frames, truth = (torch.tensor(x.transpose(0, 3, 1, 2).copy()) for x in images())
    with torch.no_grad():
        return network(frames, truth, normalize=True).numpy().reshape(-1)


def main():
    np.savez(HERE / "lpips.npz", **{trunk: distances(trunk) for trunk in ("alex", "vgg")})
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
