"""Options declared as fields of frozen dataclasses: their types, defaults, help and checks."""

import dataclasses
import math
import numbers
import os
import types
import typing
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")

KINDS = {bool: bool, int: numbers.Integral, float: numbers.Real, str: (str, os.PathLike)}


class UserError(ValueError):
    """A user's mistake. Programs print it as one line and exit with code 2."""


def expanded(path: str | os.PathLike) -> Path:
    """Expand the home folder, `~` or `~name`, at the start of a path, as a shell does.

    A `~name` that names no user is an ordinary name. The result is then absolute, so that expanding
    it again changes nothing.
    """
    path = Path(os.path.expanduser(path))  # noqa: PTH111  (Path.expanduser refuses such names)
    return path.absolute() if str(path).startswith("~") else path


def option(default: T, help: str, choices: tuple[str, ...] | None = None) -> T:
    """Declare a field of a configuration, with its default, help and allowed values."""
    return field(default=default, metadata={"help": help, "choices": choices})


def require(holds: bool, rule: str, received: object) -> None:
    """Raise UserError with the rule and the received value, unless the rule `holds`."""
    if not holds:
        raise UserError(f"{rule} Received: {received}")


def require_at_least(config: object, minimum: float, *names: str) -> None:
    """Raise UserError unless every named field is None or at least `minimum`."""
    for name in names:
        value = getattr(config, name)
        require(value is None or value >= minimum, f"`{name}` must be at least {minimum}.", value)


def check_fields(config: "DataclassInstance") -> None:
    """Raise UserError unless every field has its type and, if declared, one of its choices.

    Floats must be finite. Paths become text, NumPy's numbers become Python's, and lists become
    tuples.
    """
    for spec in dataclasses.fields(config):
        choices = spec.metadata.get("choices")
        value = _plain(spec.name, spec.type, getattr(config, spec.name))
        object.__setattr__(config, spec.name, value)
        if choices and value is not None:
            allowed = ", ".join(choices)
            require(value in choices, f"`{spec.name}` must be one of {allowed}.", repr(value))


def _plain(name: str, kind: Any, value: Any) -> Any:
    if isinstance(kind, types.UnionType):
        if value is None:
            return value
        [kind] = set(typing.get_args(kind)) - {types.NoneType}
    if typing.get_origin(kind) is tuple:
        require(isinstance(value, tuple | list), f"`{name}` must be a tuple.", repr(value))
        return tuple(_plain(name, typing.get_args(kind)[0], part) for part in value)
    if kind not in KINDS:  # a nested configuration
        return value
    require(_is_a(kind, value), f"`{name}` must be {kind.__name__}.", repr(value))
    if kind is float:
        require(math.isfinite(value), f"`{name}` must be finite.", value)
    return os.fspath(value) if kind is str else kind(value)


def _is_a(kind: type, value: object) -> bool:
    """Return whether a value fits an option's type. True and False are not numbers."""
    return kind is bool if isinstance(value, bool) else isinstance(value, KINDS[kind])


def check_name(name: str) -> None:
    """Raise UserError unless a model's name can be part of URLs and paths."""
    allowed = name.replace("-", "").replace("_", "").isalnum()
    require(allowed, "`name` must be letters, digits, - and _.", repr(name))
