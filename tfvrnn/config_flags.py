"""Configurations as absl flags and flagfiles, derived from the dataclasses.

A field `width` of the dataclass at `model` is the flag `--model.width`. A flagfile is text with one
flag per line, `#` comments and further `--flagfile`s. A later setting wins. A value in double
quotes is a JSON string, for names with line breaks or with spaces at their ends.
"""

import contextlib
import dataclasses
import difflib
import json
import os
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from absl import flags

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

SHIPPED = Path(__file__).parent / "configs"  # in a checkout, a link to configs/
HELP_FLAGS = {"help", "helpshort", "helpfull", "h", "?"}


class FlagError(ValueError):
    """A flag or flagfile that cannot be understood."""


class _BooleanParser(flags.BooleanParser):
    """Parses true, false or, if allowed, `auto`, which is None."""

    def __init__(self, optional: bool):
        super().__init__()
        self.optional = optional

    def parse(self, argument):
        if self.optional and argument == "auto":
            return None
        try:
            return super().parse(argument)
        except (ValueError, TypeError):
            rule = "must be true, false or auto" if self.optional else "must be true or false"
            raise ValueError(rule) from None


class _IntegersParser(flags.ArgumentParser):
    """Parses an integer, or integers separated by commas, or, if allowed, `none`."""

    def __init__(self, of_tuple: bool, optional: bool):
        super().__init__()
        self.of_tuple, self.optional = of_tuple, optional
        kind = "integers" if of_tuple else "an integer"
        self.syntactic_help = f"{kind}, or none" if optional else kind

    def parse(self, argument):
        if argument is None or isinstance(argument, (int, tuple)):
            return argument
        if self.optional and argument.strip().lower() == "none":
            return None
        if self.of_tuple:
            return tuple(int(part) for part in argument.strip("() ").rstrip(",").split(","))
        return int(argument)

    def flag_type(self):
        return self.syntactic_help


class _ChoiceParser(flags.EnumParser):
    """Parses one of several words. It names the nearest where none fits."""

    def parse(self, argument):
        try:
            return super().parse(argument)
        except ValueError as error:
            if not argument:
                raise
            word, words = argument.lower(), filter(None, self.enum_values)
            nearest = difflib.get_close_matches(word, words, 1, 0.0)
            raise ValueError(f"{error}; the nearest is {nearest[0]}") from None


class _BooleanFlag(flags.BooleanFlag):
    def __init__(self, name, default, text, optional: bool):
        super().__init__(name, None, text)
        self.parser = _BooleanParser(optional)
        self.default = self.value = default


class _CommaSerializer(flags.ArgumentSerializer):
    def serialize(self, value):
        return to_text(value)


def to_text(value: object, hint: Any = None) -> str:
    """Write the value of an option of type `hint` as its flag takes it."""
    if value is None and bool in typing.get_args(hint):
        return "auto"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


def options(
    config_class: "type[DataclassInstance]", prefix: str = ""
) -> Iterator[tuple[str, dataclasses.Field, Any]]:
    """Yield (dotted name, field, type) per option of a dataclass, in order of declaration."""
    hints = typing.get_type_hints(config_class)
    for spec in dataclasses.fields(config_class):
        name, hint = f"{prefix}{spec.name}", hints[spec.name]
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            yield from options(hint, f"{name}.")
        else:
            yield name, spec, hint


def values(config: "DataclassInstance") -> dict[str, Any]:
    """Return {dotted name: value} of a configuration."""
    return {name: _get(config, name) for name, _, _ in options(type(config))}


def _get(config: Any, name: str) -> Any:
    for part in name.split("."):
        config = getattr(config, part)
    return config


def replace(config: T, changes: dict[str, Any]) -> T:
    """Return the configuration with {dotted name: value} changed. Checks run on every part."""
    own, nested = {}, {}
    for name, value in changes.items():
        head, _, rest = name.partition(".")
        if rest:
            nested.setdefault(head, {})[rest] = value
        else:
            own[head] = value
    for head, part in nested.items():
        own[head] = replace(getattr(config, head), part)
    return dataclasses.replace(config, **own)


def build(config_class: type[T], changes: dict[str, Any]) -> T:
    """Build a dataclass from {dotted name: value} and defaults. Checks run only on the result."""
    hints = typing.get_type_hints(config_class)
    own = {name: value for name, value in changes.items() if "." not in name}
    for spec in dataclasses.fields(config_class):
        inside = {
            name.partition(".")[2]: value
            for name, value in changes.items()
            if name.startswith(f"{spec.name}.")
        }
        if inside:
            own[spec.name] = build(hints[spec.name], inside)
    return config_class(**own)


def define(config_class: "type[DataclassInstance]") -> flags.FlagValues:
    """Define a flag per option of a dataclass, with the field's default."""
    flag_values = flags.FlagValues()
    for name, spec, hint in options(config_class):
        if spec.default is dataclasses.MISSING:
            raise TypeError(f"option {name} has no default")
        default, text = spec.default, spec.metadata.get("help", "")
        choices = spec.metadata.get("choices")
        optional = typing.get_origin(hint) in (types.UnionType, typing.Union)
        parts = typing.get_args(hint) if optional else (hint,)
        of_tuple = any(typing.get_origin(part) is tuple for part in parts)
        if bool in parts:
            flags.DEFINE_flag(_BooleanFlag(name, default, text, optional), flag_values)
        elif optional or of_tuple:
            parser, serializer = _IntegersParser(of_tuple, optional), _CommaSerializer()
            flags.DEFINE(parser, name, default, text, flag_values, serializer)
        elif choices:
            flags.DEFINE(_ChoiceParser(choices), name, default, text, flag_values)
        else:
            kinds = {int: flags.DEFINE_integer, float: flags.DEFINE_float, str: flags.DEFINE_string}
            kinds[hint](name, default, text, flag_values=flag_values)
    return flag_values


def help_text(config_class: "type[DataclassInstance]") -> str:
    """List every option of a dataclass with its default and help."""
    lines = ["  --flagfile=PATH\n      Read flags from a file, one per line."]
    for name, spec, hint in options(config_class):
        choices = spec.metadata.get("choices")
        allowed = f" One of {', '.join(filter(None, choices))}." if choices else ""
        text = spec.metadata.get("help", "")
        lines.append(f"  --{name}={to_text(spec.default, hint)}\n      {text}{allowed}")
    return "\n".join(lines)


def parse_changes(
    arguments: Sequence[str], config_class: "type[DataclassInstance]"
) -> dict[str, Any]:
    """Return {dotted name: value} of the options that the arguments set.

    Args:
        arguments: flags, without the program's name. `--flagfile`s are read in place.
        config_class: the dataclass that declares the options.

    Raises:
        FlagError: an unknown flag (with the nearest name), a value that does not parse, a
            leftover argument, a flagfile that cannot be read.
    """
    flag_values, expanded = define(config_class), expand_flagfiles(arguments)
    try:
        leftover = flag_values(["program", *expanded])[1:]
    except flags.UnrecognizedFlagError as error:
        raise FlagError(_unknown(f"unknown flag --{error.flagname}", flag_values)) from None
    except (flags.Error, ValueError) as error:  # ValueError for --noflag=value
        # An empty choice is the default, so the message does not offer it.
        raise FlagError(" ".join(str(error).split()).replace("<|", "<")) from None
    if leftover:
        before = ["", *expanded][expanded.index(leftover[0])].lstrip("-")
        raise FlagError(_unexpected(leftover[0], before, flag_values))
    names = [name for name, _, _ in options(config_class)]
    return {name: flag_values[name].value for name in names if flag_values[name].present}


def _unexpected(word: str, before: str, flag_values: flags.FlagValues) -> str:
    """Explain an argument that is neither a flag nor the value of one."""
    if before in flag_values and isinstance(flag_values[before], _BooleanFlag):
        with contextlib.suppress(ValueError):
            flag_values[before].parser.parse(word)
            return f"unexpected argument {word}; write --{before}={word}"
    return _unknown(f"unexpected argument {word}", flag_values)


def _unknown(what: str, flag_values: flags.FlagValues) -> str:
    word = what.split()[-1].lstrip("-").split("=")[0]
    if word.endswith(".flags"):
        return f"{what}; to read a flagfile, write --flagfile={word}"
    known = list(flag_values)
    # If the part before the dot is missing, the last part decides.
    by_tail = {name.rpartition(".")[2]: name for name in known}
    nearest = by_tail.get(word) or difflib.get_close_matches(word, known, 1, 0.0)[0]
    return f"{what}; the nearest is --{nearest}"


def expand_flagfiles(arguments: Sequence[str], reading: tuple[Path, ...] = ()) -> list[str]:
    """Replace every `--flagfile=PATH` by the flags in that file, recursively.

    absl would silently skip a line that does not start with `-`. This function refuses it.
    """
    expanded, rest = [], list(arguments)
    while rest:
        argument = rest.pop(0)
        name, equals, path = argument.lstrip("-").partition("=")
        if not argument.startswith("-") or name != "flagfile":
            expanded.append(argument)
            continue
        if not equals and not rest:
            raise FlagError("--flagfile needs a path")
        # Not Path.expanduser, which refuses a ~name that names no user.
        path = Path(os.path.expanduser(path if equals else rest.pop(0)))  # noqa: PTH111
        if reading and ((beside := reading[-1].parent / path).is_file() or beside.is_symlink()):
            path = beside  # a flagfile names its neighbours by relative paths
        elif not path.exists() and (shipped := shipped_flagfile(path)):
            path = shipped
        # Not Path.resolve, which refuses links that lead in a circle.
        if os.path.realpath(path) in map(os.path.realpath, reading):
            raise FlagError(f"flagfile {path} includes itself")
        expanded += expand_flagfiles(_flagfile_lines(path), (*reading, path))
    return expanded


def shipped_flagfile(path: Path) -> Path | None:
    """Find a flagfile of the package, as `quickstart.flags` or `configs/quickstart.flags`."""
    name = Path(*path.parts[1:]) if path.parts[:1] == ("configs",) else path
    found = SHIPPED / name
    return found if found.is_file() and not path.is_absolute() else None


def _flagfile_lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors write a byte order mark
    except OSError as error:
        names = [found.relative_to(SHIPPED).as_posix() for found in SHIPPED.rglob("*.flags")]
        stems = difflib.get_close_matches(path.stem, {Path(name).stem for name in names}, 1)
        alike = sorted(name for name in names if Path(name).stem in stems)
        near = difflib.get_close_matches(str(path), alike, 1, 0.0)
        hint = f"; the nearest in the package is {near[0]}" if near else ""
        raise FlagError(f"cannot read flagfile {path}: {error.strerror}{hint}") from None
    except UnicodeDecodeError:
        raise FlagError(f"flagfile {path} is not text") from None
    if "\0" in text:  # valid in UTF-8, but not in a path
        raise FlagError(f"flagfile {path} is not text")
    lines = []
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line.startswith(("#", "//")):
            continue
        if not line.startswith("--"):
            raise FlagError(f"{path}, line {number}: not a flag: {line}")
        name, equals, value = line.partition("=")
        name, *rest = name.split()
        if rest:
            raise FlagError(f"{path}, line {number}: write {name}=VALUE. Received: {line}")
        lines.append(f"{name}{equals}{_unquoted(value.strip())}")
    return lines


def _quoted(value: str) -> str:
    """Quote a value if a line of a flagfile cannot hold it as it is."""
    try:
        value.encode()
        plain = value.strip().splitlines() == [value] and not value.startswith('"')
    except UnicodeEncodeError:  # a file name that is not UTF-8
        plain = False
    return value if plain or not value else json.dumps(value)


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        with contextlib.suppress(ValueError):
            return json.loads(value)
    return value


def to_flagfile(config: "DataclassInstance", exclude: Sequence[str] = ()) -> str:
    """Write the whole configuration as flagfile text, each option below its help."""
    lines = []
    for name, spec, hint in options(type(config)):
        value = _get(config, name)
        if name in exclude:
            continue
        text = _quoted(to_text(value, hint))
        lines += [f"# {spec.metadata.get('help', '')}", f"--{name}={text}"]
    return "\n".join(lines) + "\n"


def from_flagfile(path: str | Path, config: T) -> T:
    """Return the configuration with the settings of a flagfile."""
    return replace(config, parse_changes([f"--flagfile={path}"], type(config)))
