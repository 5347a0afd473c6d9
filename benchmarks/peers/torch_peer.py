"""Plain PyTorch H-VRNN of the same specification, which the benchmarks compare the project with.

It is written as a PyTorch user would write it: NCHW, eager, one ConvLSTM step at a time, float32.
It follows docs/model.md, so its parameter counts and arithmetic equal ours.

    python torch_peer.py --width 16 --batch 4 --context 2 --horizon 10
prints one JSON line: parameters, training frames/s, and the seconds to sample `--horizon`
frames in two ways: `rerun`, as the authors' release does (the whole sequence again for every
new frame), and `stateful` (each frame computed once).
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn


def norm(channels, groups):
    return nn.GroupNorm(min(groups, channels), channels)


def conv(cin, cout, kernel, resolution, **kw):
    kernel = 1 if resolution == 1 else kernel
    return nn.Conv2d(cin, cout, kernel, padding=kernel // 2, **kw)


class ResidualBlock(nn.Module):
    def __init__(self, cin, cout, resolution, groups, collapse=False):
        super().__init__()
        hidden = min(cin, cout)
        first = nn.Conv2d(cin, hidden, 4) if collapse else conv(cin, hidden, 3, resolution)
        self.body = nn.Sequential(
            nn.ReLU(),
            first,
            norm(hidden, groups),
            nn.ReLU(),
            conv(hidden, cout, 3, resolution),
            norm(cout, groups),
        )
        self.short = (
            nn.MaxPool2d(4)
            if collapse
            else nn.Conv2d(cin, cout, 1, bias=False)
            if cin != cout
            else nn.Identity()
        )

    def forward(self, x):
        return self.short(x) + self.body(x)


class ConvLSTM(nn.Module):
    def __init__(self, cin, hidden, resolution, groups):
        super().__init__()
        self.inputs = nn.Sequential(conv(cin, 4 * hidden, 3, resolution), norm(4 * hidden, groups))
        self.recur = nn.Sequential(
            conv(hidden, 4 * hidden, 3, resolution), norm(4 * hidden, groups)
        )
        self.cell_norm = norm(hidden, groups)

    def step(self, x, state):
        h, c = state
        i, f, o, g = (self.inputs(x) + self.recur(h)).chunk(4, 1)
        c = self.cell_norm(torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g))
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, (h, c)


class InitialState(nn.Module):
    def __init__(self, channels, context, hidden, groups):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(channels * context, channels, 1),
            norm(channels, groups),
            nn.ReLU(),
            nn.Conv2d(channels, 2 * hidden, 1),
            norm(2 * hidden, groups),
        )

    def forward(self, context):  # [B, context, C, H, W]
        return self.net(context.flatten(1, 2)).chunk(2, 1)


class LatentLevel(nn.Module):
    def __init__(self, channels, below, resolution, context, groups):
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(channels, channels, 1), norm(channels, groups))
        self.lstm = ConvLSTM(channels, channels, resolution, groups)
        self.stats = nn.Sequential(
            nn.Conv2d(channels + below, 2 * channels, 1), norm(2 * channels, groups)
        )
        self.init = InitialState(channels, context, channels, groups)
        nn.init.zeros_(self.stats[1].weight)
        nn.init.normal_(self.stats[1].bias, std=1e-3)

    def step(self, x, state, lower):
        h, state = self.lstm.step(self.enter(x), state)
        lower = [F.interpolate(z, size=h.shape[-2:]) for z in lower]
        mean, raw = self.stats(torch.cat([h, *lower], 1)).chunk(2, 1)
        return (mean, F.softplus(raw) + 1e-6), state


class HVRNN(nn.Module):
    def __init__(self, width=64, channels=3, size=64, context=2, latents=(1, 8, 32), groups=16):
        super().__init__()
        self.context, self.latents = context, latents
        res, r = [], size
        while r >= 8:
            res.append(r)
            r //= 2
        self.c = {r: min(2**i, 8) * width for i, r in enumerate(res)}
        self.c[4] = self.c[1] = self.c[8]
        self.stages = res
        self.enc = nn.ModuleList()
        for i, r in enumerate(res):
            first = (
                nn.Conv2d(channels, self.c[r], 3, padding=1)
                if i == 0
                else nn.Sequential(
                    nn.MaxPool2d(2), ResidualBlock(self.c[2 * r], self.c[r], r, groups)
                )
            )
            self.enc.append(nn.Sequential(first, ResidualBlock(self.c[r], self.c[r], r, groups)))
        self.pool = nn.MaxPool2d(2)
        self.top = nn.Sequential(
            ResidualBlock(self.c[4], self.c[1], 1, groups, collapse=True),
            ResidualBlock(self.c[1], self.c[1], 1, groups),
        )

        def make():
            below = {r: sum(self.c[q] for q in latents if q < r) for r in latents}
            return nn.ModuleList(
                LatentLevel(self.c[r], below[r], r, context, groups) for r in latents
            )

        self.prior, self.posterior = make(), make()
        self.order = [1, 4, *sorted(res)]
        self.dec, self.up, self.init = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for k, r in enumerate(self.order):
            self.dec.append(ConvLSTM(self.c[r] * (2 if r in latents else 1), self.c[r], r, groups))
            self.init.append(InitialState(self.c[r], context, self.c[r], groups))
            if r == size:
                up = nn.Conv2d(self.c[r], self.c[r], 3, padding=1)
                out = self.c[r]
            else:
                out = self.c[self.order[k + 1]]
                up = nn.ConvTranspose2d(self.c[r], out, 4, *((1, 0) if r == 1 else (2, 1)))
            self.up.append(nn.Sequential(up, norm(out, groups), nn.ReLU()))
        self.out = nn.Conv2d(self.c[size], channels, 3, padding=1)

    def encode(self, frames):  # [B, T, C, H, W] -> {r: [B, T, c, r, r]}
        b, t = frames.shape[:2]
        h, maps = frames.flatten(0, 1), {}
        for r, stage in zip(self.stages, self.enc):
            h = maps[r] = stage(h)
        h = maps[4] = self.pool(h)
        maps[1] = self.top(h)
        return {r: m.unflatten(0, (b, t)) for r, m in maps.items()}

    def begin(self, maps):
        ctx = {r: m[:, : self.context] for r, m in maps.items()}
        return (
            [n.init(ctx[r]) for n, r in zip(self.prior, self.latents)],
            [n.init(ctx[r]) for n, r in zip(self.posterior, self.latents)],
            [n(ctx[r]) for n, r in zip(self.init, self.order)],
        )

    def infer(self, nets, maps, t, states, given=None):
        """Run one time step of prior or posterior; with `given` latents, draw nothing."""
        stats, zs = [], list(given or ())
        for k, (net, r) in enumerate(zip(nets, self.latents)):
            (mean, var), states[k] = net.step(maps[r][:, t], states[k], zs[:k])
            stats.append((mean, var))
            if given is None:
                zs.append(mean + var.sqrt() * torch.randn_like(mean))
        return stats, zs

    def render(self, top, zs, states):
        h, z = top, dict(zip(self.latents, zs))
        for k, r in enumerate(self.order):
            h = torch.cat([h, z[r]], 1) if r in z else h
            h, states[k] = self.dec[k].step(h, states[k])
            h = self.up[k](h)
        return torch.sigmoid(self.out(h))

    def forward(self, frames, use_prior=False):
        maps = self.encode(frames)
        prior, posterior, decoder = map(list, self.begin(maps))
        preds, kl = [], 0.0
        for t in range(self.context, frames.shape[1]):
            q, zq = self.infer(self.posterior, maps, t, posterior)
            p, zp = self.infer(self.prior, maps, t - 1, prior, None if use_prior else zq)
            for (qm, qv), (pm, pv) in zip(q, p):
                kl = kl + 0.5 * (torch.log(pv / qv) + (qv + (qm - pm) ** 2) / pv - 1).sum() / len(
                    frames
                )
            preds.append(self.render(maps[1][:, t - 1], zp if use_prior else zq, decoder))
        return torch.stack(preds, 1), kl

    @torch.no_grad()
    def sample_rerun(self, context, horizon):
        frames = torch.cat(
            [context, torch.zeros_like(context[:, :1]).repeat(1, horizon, 1, 1, 1)], 1
        )
        for t in range(horizon):
            frames[:, self.context + t] = self(frames, use_prior=True)[0][:, t]
        return frames[:, self.context :]

    @torch.no_grad()
    def sample_stateful(self, context, horizon):
        maps = self.encode(context)
        prior, _, decoder = map(list, self.begin(maps))
        maps, out = {r: m[:, -1:] for r, m in maps.items()}, []
        for _ in range(horizon):
            _, zs = self.infer(self.prior, maps, 0, prior)
            out.append(self.render(maps[1][:, 0], zs, decoder))
            maps = self.encode(out[-1][:, None])
        return torch.stack(out, 1)


def median(run, repeats):
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main():
    parser = argparse.ArgumentParser()
    for name, default in dict(
        width=16, batch=4, context=2, horizon=10, size=64, channels=3, groups=16, repeats=5
    ).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--latents", default="1,8,32", help="latent resolutions, coarsest first")
    parser.add_argument("--count-only", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--mode", default="float32", choices=["float32", "tf32", "bf16"])
    a = parser.parse_args()
    torch.manual_seed(0)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = a.mode != "float32"
    autocast = torch.autocast(a.device, torch.bfloat16, enabled=a.mode == "bf16")
    model = HVRNN(
        a.width, a.channels, a.size, a.context, tuple(map(int, a.latents.split(","))), a.groups
    ).to(a.device)
    report = dict(
        parameters=sum(p.numel() for p in model.parameters()), threads=torch.get_num_threads()
    )
    if not a.count_only:
        frames = torch.rand(a.batch, a.context + a.horizon, a.channels, a.size, a.size)
        frames = frames.to(a.device)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

        def train():
            with autocast:
                preds, kl = model(frames)
                loss = (preds - frames[:, a.context :]).abs().sum() / len(frames) + kl
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        seconds = median(train, a.repeats)
        report |= dict(
            train_step_s=round(seconds, 3),
            train_frames_per_s=round(a.batch * (a.context + a.horizon) / seconds, 2),
        )
        peak = torch.cuda.max_memory_allocated() if a.device == "cuda" else 0
        ctx = frames[:, : a.context]
        with autocast:
            rerun = median(lambda: model.sample_rerun(ctx, a.horizon), 2)
            stateful = median(lambda: model.sample_stateful(ctx, a.horizon), 5)
        report |= dict(
            peak_gib=round(peak / 2**30, 2),
            sample_rerun_s=round(rerun, 3),
            sample_stateful_s=round(stateful, 3),
        )
    print(json.dumps(report))


if __name__ == "__main__":
    main()
