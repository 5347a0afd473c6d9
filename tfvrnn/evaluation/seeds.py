"""Figures over seeds of training, from several runs of one configuration."""

from collections.abc import Sequence
from typing import Any

from tfvrnn import config_flags, metrics
from tfvrnn.config import Config
from tfvrnn.reporting.protocols import protocol_hash

# Options in which seeds of one configuration may differ: names of folders and machines.
ASIDE = {"train": ("run_dir",), "data": ("data_dir", "workers", "service"), "model": ()}


def training_of(config: Config) -> dict:
    """Return {seed, configuration} of a run. `configuration` is a hash that all its seeds share.

    It is of the options that are not at their default. So a later version's new options do not
    change it, but the default of an option must not change.
    """
    plain, values = Config(), {}
    for part, aside in ASIDE.items():
        defaults = config_flags.values(getattr(plain, part))
        given = config_flags.values(getattr(config, part))
        differing = {name: given[name] for name in given if given[name] != defaults[name]}
        values[part] = {name: differing[name] for name in differing if name not in aside}
    values["train"].pop("seed", None)
    return {"seed": config.train.seed, "configuration": protocol_hash(values)}


def over_seeds(results: Sequence[Any], names: Sequence[str]) -> list[dict]:
    """Compute the interquartile mean over seeds, per configuration that has several.

    The interval is that of `stratified_bootstrap` over the seeds, with one stratum, as all runs
    have one dataset.

    Args:
        results: `Result`s.
        names: of the figures. For figures of several samples, the best sample counts.

    Returns:
        [{runs, seeds, step, figures: {name: {mean: interquartile mean, interval, values}}}]. A
        figure is None if it was not measured for one of the seeds.
    """
    groups: dict = {}
    for result in results:
        if result.training:
            key = (result.training["configuration"], result.protocol["model"]["step"])
            groups.setdefault(key, {})[result.training["seed"]] = result
    return [
        {
            "runs": [result.name for result in by_seed.values()],
            "seeds": list(by_seed),
            "step": step,
            "figures": {
                name: _over([_value(result.figures.get(name)) for result in by_seed.values()])
                for name in names
            },
        }
        for (_, step), by_seed in groups.items()
        if len(by_seed) > 1
    ]


def _value(figure) -> float | None:
    if isinstance(figure, dict):
        return figure.get("best", figure)["mean"]
    return figure


def _over(values) -> dict | None:
    if None in values:
        return None
    mean, low, high = metrics.stratified_bootstrap(values)
    return {"mean": mean, "interval": [low, high], "values": values}
