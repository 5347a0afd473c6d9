"""The printed commands mean the same to a shell as to the program."""

import shlex
import sys
from pathlib import Path

import pytest

from tfvrnn import commands
from tfvrnn.cli import main

ROOT = Path(__file__).parents[1]
NAMES = ["runs/a", "a b#c", "it's", "$HOME `x`", "-x", "~x", "n\nl", "*?[1]", "ü", "\udcff"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_one_word_of_the_command(name):
    words = shlex.split(commands.program("train", train__run_dir=name))
    assert words[2:] == [f"--train.run_dir={name}"]
    assert shlex.split(commands.quoted(name)) == [name]


@pytest.mark.parametrize("below", [".", "bin", "tests/cli"])
def test_the_programs_are_named_from_where_one_is(monkeypatch, below):
    monkeypatch.chdir(ROOT / below)
    python, path, _ = shlex.split(commands.program("sample", run_dir="x"))
    assert Path(path).resolve() == ROOT / "bin" / "sample.py"
    assert Path(python).samefile(sys.executable)


def test_what_is_named_is_neither_an_option_nor_looked_up(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert commands.from_here(tmp_path / "python") == "./python"
    assert commands.from_here(tmp_path / "-x" / "a") == "./-x/a"
    assert commands.from_here("/usr") == "/usr"


def test_the_scripts_of_a_checkout_are_found():
    for name in main.PROGRAMS:
        script = shlex.split(commands.program(name))[1]
        assert f'main.run("{name}")' in Path(script).read_text()


@pytest.mark.parametrize("typed", ["tfvrnn", ".venv/bin/tfvrnn"])
def test_the_command_names_itself(monkeypatch, tmp_path, typed):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands.shutil, "which", lambda name: "/bin/tfvrnn")
    monkeypatch.setattr(sys, "argv", ["/bin/tfvrnn" if typed == "tfvrnn" else typed, "train"])
    assert commands.program("sample", run_dir="a b") == f"{typed} sample '--run_dir=a b'"


def test_an_installed_package_runs_its_programs_as_a_module(monkeypatch, tmp_path):
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    assert commands.program("sample", run_dir="x").endswith(" -m tfvrnn sample --run_dir=x")
    assert commands.module("a.b", logdir="x y").endswith(" -m a.b '--logdir=x y'")
