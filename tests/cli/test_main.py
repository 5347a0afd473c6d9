"""The command `tfvrnn`."""

import sys

import pytest

import tfvrnn
from tfvrnn.cli import main, runtime


@pytest.fixture
def command(monkeypatch, capsys):
    """Run `tfvrnn` with arguments: (exit code, standard output, standard error)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tfvrnn", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.main()
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_help_lists_every_program_with_what_it_does(command, arguments):
    code, out, _ = command(*arguments)
    assert code == 0
    for name in main.PROGRAMS:
        line = next(line for line in out.splitlines() if line.startswith(f"  {name} "))
        assert len(line) < 110 and line.endswith(".")


def test_the_version_is_that_of_the_package(command):
    assert command("--version") == (0, f"tfvrnn {tfvrnn.__version__}\n", "")


def test_an_unknown_program_is_one_line_with_the_nearest(command):
    code, out, err = command("trian", "--data.horizon=3")
    assert (code, out) == (runtime.USER_MISTAKE, "")
    assert err == "error: unknown program trian; the nearest is train\n"


@pytest.mark.parametrize("name", main.PROGRAMS)
def test_every_program_helps(command, name):
    code, out, err = command(name, "--help")
    assert code == 0 and not err
    assert out.startswith(main.summary(name)) and "--flagfile=PATH" in out


def test_help_of_a_program_is_its_help(command):
    assert command("help", "sample") == command("sample", "--help")
    assert command("help", "smaple")[2] == "error: unknown program smaple; the nearest is sample\n"


def test_a_program_gets_the_arguments_after_its_name(command):
    code, _, err = command("sample", "--run_dir=nowhere")
    assert code == runtime.USER_MISTAKE and "no run in nowhere" in err
