import dataclasses
import importlib
import os
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfvrnn import config_flags
from tfvrnn.cli.main import PROGRAMS as NAMES
from tfvrnn.config import Config, DataConfig, EvalConfig, ModelConfig, TrainConfig
from tfvrnn.config_flags import FlagError

PROGRAMS = [importlib.import_module(f"tfvrnn.cli.{name}").Options for name in NAMES]
UNLIKE_DEFAULT = Config(
    model=ModelConfig(image_size=32, channels=1, width=16, latent_resolutions=(1, 8)),
    data=DataConfig(horizon=5, digit_source="tfds"),
    train=TrainConfig(steps=7, learning_rate=3e-4, deterministic=True, init_from="a run"),
    eval=EvalConfig(horizon=28),
)


def write(path, text):
    path.write_text(text)
    return path


def test_flagfile_text_round_trip(tmp_path):
    path = write(tmp_path / "all.flags", config_flags.to_flagfile(UNLIKE_DEFAULT))
    assert config_flags.from_flagfile(path, Config()) == UNLIKE_DEFAULT
    # The text names every option, so it also overrides a configuration that differs everywhere.
    assert config_flags.from_flagfile(path, UNLIKE_DEFAULT) == UNLIKE_DEFAULT
    default = write(tmp_path / "default.flags", config_flags.to_flagfile(Config()))
    assert config_flags.from_flagfile(default, UNLIKE_DEFAULT) == Config()


@given(name=st.text().map(lambda text: text.replace("\0", "")) | st.binary().map(os.fsdecode))
def test_any_name_goes_through_a_flagfile(tmp_path_factory, name):
    config = config_flags.replace(Config(), {"data.data_dir": name, "train.init_from": name})
    path = tmp_path_factory.mktemp("names") / "run.flags"
    path.write_text(config_flags.to_flagfile(config), "utf-8", newline="")
    assert config_flags.from_flagfile(path, Config()) == config


def test_a_mark_of_the_byte_order_and_quotes_are_no_part_of_a_flag(tmp_path):
    path = tmp_path / "a.flags"
    path.write_text('--train.steps=5\n--data.data_dir=" a\\nb"\n--train.init_from="', "utf-8-sig")
    changes = config_flags.parse_changes([f"--flagfile={path}"], Config)
    assert changes == {"train.steps": 5, "data.data_dir": " a\nb", "train.init_from": '"'}


def test_flags_of_every_kind():
    changes = config_flags.parse_changes(
        [
            "--model.width=32",
            "--model.latent_resolutions=1,8",
            "--train.learning_rate", "3e-4",
            "--train.deterministic",
            "--notrain.jit_compile",
            "--data.digit_source=tfds",
            "--eval.horizon=none",
        ],
        Config,
    )  # fmt: skip
    assert changes == {
        "model.width": 32,
        "model.latent_resolutions": (1, 8),
        "train.learning_rate": 3e-4,
        "train.deterministic": True,
        "train.jit_compile": False,
        "data.digit_source": "tfds",
        "eval.horizon": None,
    }
    assert config_flags.replace(Config(), changes).model.width == 32


@pytest.mark.parametrize(
    "argument,value",
    [
        ("--train.jit_compile", True),
        ("--train.jit_compile=true", True),
        ("--notrain.jit_compile", False),
        ("--train.jit_compile=false", False),
        ("--train.jit_compile=auto", None),
    ],
)
def test_a_boolean_may_be_auto(tmp_path, argument, value):
    changes = config_flags.parse_changes([argument], Config)
    assert changes == {"train.jit_compile": value}
    config = config_flags.replace(Config(), changes)
    path = write(tmp_path / "run.flags", config_flags.to_flagfile(config))
    assert config_flags.from_flagfile(path, Config()) == config


def test_only_what_is_given_is_a_change():
    assert config_flags.parse_changes([], Config) == {}
    assert config_flags.parse_changes(["--model.width=64"], Config) == {"model.width": 64}


def test_the_later_setting_wins_over_a_flagfile(tmp_path):
    path = write(
        tmp_path / "a.flags", "# head\n\n// also a comment\n--model.width=32\n--train.steps=5\n"
    )
    outer = write(tmp_path / "b.flags", f"--flagfile={path}\n--train.steps=6\n")
    changes = config_flags.parse_changes([f"--flagfile={outer}", "--model.width=16"], Config)
    assert changes == {"model.width": 16, "train.steps": 6}
    assert config_flags.parse_changes(["--flagfile", str(path)], Config)["train.steps"] == 5


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["--model.widht=3"], "unknown flag --model.widht; the nearest is --model.width"),
        (["--width=3"], "unknown flag --width; the nearest is --model.width"),
        (["--stepz=3"], "unknown flag --stepz; the nearest is --"),
        (["train.steps=3"], "unexpected argument train.steps=3; the nearest is --train.steps"),
        (["configs/a.flags"], "to read a flagfile, write --flagfile=configs/a.flags"),
        (["--train.steps=many"], "--train.steps=many"),
        (["--train.steps"], "Missing value for flag --train.steps"),
        (["--model.latent_resolutions=1,x"], "--model.latent_resolutions=1,x"),
        (["--model.prednet_stacks=none"], "--model.prednet_stacks=none"),
        (["--notrain.deterministic=1"], "--notrain.deterministic=1 does not take"),
        (["--data.digit_source=web"], "should be one of <packaged|tfds>; the nearest is packaged"),
        (["--data.dataset=SMMNIST"], "; the nearest is smmnist"),
        (["--flagfile=/no/such.flags"], "cannot read flagfile /no/such.flags: No such file"),
        (["--flagfile=quick.flags"], "; the nearest in the package is eval/quick.flags"),
        (["--flagfile"], "--flagfile needs a path"),
        (["--data.flip", "False"], "unexpected argument False; write --data.flip=False"),
        (["--train.jit_compile", "auto"], "argument auto; write --train.jit_compile=auto"),
        (["--data.flip", "digits"], "unexpected argument digits; the nearest is --data.digits"),
        (["--data.flip=maybe"], "flag --data.flip=maybe: must be true or false"),
        (["--train.jit_compile=on"], "--train.jit_compile=on: must be true, false or auto"),
    ],
)
def test_what_cannot_be_parsed_is_one_clear_line(arguments, message):
    with pytest.raises(FlagError) as caught:
        config_flags.parse_changes(arguments, Config)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text,message",
    [
        ("model.width=3\n", "line 1: not a flag: model.width=3"),
        ("--train.steps=5\n-train.steps=5\n", "line 2: not a flag"),
        ("--flagfile={path}\n", "includes itself"),
        ("--flagfile=../{path.parent.name}/wrong.flags\n", "includes itself"),
        ("--train.stepz=5\n", "unknown flag --train.stepz"),
        ("\n--train.steps 4\n", "line 2: write --train.steps=VALUE. Received: --train.steps 4"),
    ],
)
def test_a_wrong_line_of_a_flagfile_is_refused(tmp_path, text, message):
    path = tmp_path / "wrong.flags"
    path.write_text(text.format(path=path))
    with pytest.raises(FlagError, match=message):
        config_flags.parse_changes([f"--flagfile={path}"], Config)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"--train.run_dir=a\0b\n"])
def test_a_flagfile_that_is_not_text_is_refused(tmp_path, content):
    (tmp_path / "binary.flags").write_bytes(content)
    with pytest.raises(FlagError, match="is not text"):
        config_flags.parse_changes([f"--flagfile={tmp_path / 'binary.flags'}"], Config)


def test_spaces_around_the_equals_sign_do_not_count(tmp_path):
    path = write(tmp_path / "a.flags", '--train.steps = 5\n--train.run_dir =" a"\n')
    changes = config_flags.parse_changes([f"--flagfile={path}"], Config)
    assert changes == {"train.steps": 5, "train.run_dir": " a"}


def test_a_link_that_leads_in_a_circle_is_no_flagfile(tmp_path):
    (tmp_path / "a.flags").symlink_to("a.flags")
    (tmp_path / "b.flags").write_text("--flagfile=a.flags\n")
    for name in ("a", "b"):
        with pytest.raises(FlagError, match=r"a\.flags: Too many levels of symbolic"):
            config_flags.parse_changes([f"--flagfile={tmp_path / name}.flags"], Config)


def test_any_dataclass_has_flags():
    @dataclasses.dataclass(frozen=True)
    class Own:
        size: int = dataclasses.field(default=3, metadata={"help": "Size."})

    assert config_flags.parse_changes(["--size=4"], Own) == {"size": 4}
    assert config_flags.to_flagfile(Own(5)) == "# Size.\n--size=5\n"


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_option_that_may_be_a_fraction_takes_one(program):
    for name, _, hint in config_flags.options(program):
        if hint is float or float in typing.get_args(hint):
            assert config_flags.parse_changes([f"--{name}=0.5"], program) == {name: 0.5}
