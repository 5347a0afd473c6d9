"""A user's mistake prints one line, exits with code 2, writes nothing, needs no TensorFlow."""

import errno
import os
import re
import runpy
import shlex
import subprocess
import sys
import types
from pathlib import Path

import pytest

from tfvrnn import config_flags, runs
from tfvrnn import files as files_of_ours
from tfvrnn.cli import runtime
from tfvrnn.cli.train import next_commands
from tfvrnn.config import Config, UserError

ROOT = Path(__file__).parents[2]
SMALL = ["--model.image_size=16", "--model.width=8", "--model.groups=2", "--model.channels=1"]


def resolve(arguments):
    return runs.resolve(config_flags.parse_changes(arguments, Config))


@pytest.fixture
def train(monkeypatch, capsys, tmp_path):
    """Run bin/train.py in this process: (exit code, standard error)."""
    monkeypatch.chdir(tmp_path)

    def start(*arguments):
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / "bin" / "train.py"), run_name="__main__")
        return ended.value.code, capsys.readouterr().err

    return start


@pytest.fixture(autouse=True)
def never_trains(monkeypatch):
    """Fail if anything is trained, since options must be refused before."""
    monkeypatch.setitem(sys.modules, "tfvrnn.training", None)


def files(folder):
    return sorted(str(path) for path in folder.rglob("*"))


def assert_refused(result, folder, message):
    code, text = result
    assert code == runtime.USER_MISTAKE == 2
    assert text.startswith("error: ") and text.count("\n") == 1
    assert message in text
    assert files(folder) == []


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["--model.widht=8"], "the nearest is --model.width"),
        (["steps=3"], "unexpected argument steps=3; the nearest is --train.steps"),
        (["--model.width=20"], "`max_channels` must make channels that divide into 16 groups"),
        (["--model.latent_resolutions=1,7"], "(1, 4, 8, 16, 32, 64). Received: (1, 7)"),
        (["--model.context_frames=0"], "`context_frames` must be at least 1"),
        (["--data.horizon=0"], "`horizon` must be at least 1"),
        (["--data.horizon=-3"], "`horizon` must be at least 1. Received: -3"),
        (["--flagfile=missing.flags"], "cannot read flagfile missing.flags"),
        (["--data.dataset=kitti"], "smmnist"),
        (["--train.steps=0"], "`steps` must be at least 1"),
        (["--train.init_from=nowhere"], "no run in nowhere"),
    ],
)
def test_a_wrong_option_is_refused(train, tmp_path, arguments, message):
    assert_refused(train(*arguments, "--train.run_dir=run"), tmp_path, message)


def test_without_an_option_it_suggests_a_flagfile(train, tmp_path):
    assert_refused(train(), tmp_path, "no option given: try --flagfile=quickstart.flags")
    assert_refused(train("--flagfile=/dev/null"), tmp_path, "no option given")
    only = "no option of training given, only of eval: try --flagfile=quickstart.flags"
    assert_refused(train("--flagfile=eval/quick.flags"), tmp_path, only)


def test_an_interrupt_is_one_line(monkeypatch, capsys):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.argv", ["train.py"])
    with pytest.raises(SystemExit) as ended:
        runtime.run(interrupted, "")
    assert ended.value.code == runtime.INTERRUPTED == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_an_unwritable_run_folder_is_refused_with_the_reason(train, tmp_path, monkeypatch, number):
    # Root may write everywhere, so the check itself is made to fail.
    def refuse(dir):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files_of_ours.tempfile, "TemporaryFile", refuse)
    result = train("--train.run_dir=run", *SMALL)
    reason = {errno.EACCES: "Permission denied", errno.EROFS: "Read-only file system"}[number]
    assert_refused(result, tmp_path, f"cannot write into run folder run: {reason}")


def test_a_run_folder_below_a_file_is_refused(train, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    code, text = train("--train.run_dir=file/run", *SMALL)
    assert code == 2 and "cannot write into run folder file/run: not a folder" in text
    assert files(tmp_path) == [str(tmp_path / "file")]


def make_run(folder, **changes):
    folder.mkdir()
    config = config_flags.replace(Config(), changes)
    runs.RunFolder(folder).write_config(config)
    return files(folder), (folder / "config.flags").read_text()


def test_a_run_with_its_own_levels_and_latent_channels_is_the_same_model(tmp_path):
    make_run(
        tmp_path / "run",
        **{"model.latent_resolutions": (1, 8), "model.latent_channels": (8, 8)},
    )
    given = [f"--train.run_dir={tmp_path / 'run'}", "--model.latent_channels=8,8"]
    config, resumes = resolve([*given, "--model.latent_resolutions=1,8"])
    assert resumes and config.model.latent_channels == (8, 8)
    with pytest.raises(UserError, match=r"latent_resolutions is .* there, "):
        resolve([*given, "--model.latent_resolutions=1,8,16"])


def test_a_run_of_another_model_is_refused_with_both_values(train, tmp_path):
    before = make_run(tmp_path / "run", **{"model.width": 32})
    code, text = train("--train.run_dir=run", "--model.width=16")
    assert code == 2
    assert "holds another model: --model.width is 32 there, 16 here" in text
    assert (files(tmp_path / "run"), (tmp_path / "run" / "config.flags").read_text()) == before


def test_init_from_a_run_of_another_model_is_refused(train, tmp_path):
    make_run(tmp_path / "run", **{"model.width": 32})
    code, text = train("--train.run_dir=new", "--train.init_from=run", "--model.width=16")
    assert code == 2 and "--model.width is 32 there, 16 here" in text
    assert not (tmp_path / "new").exists()


def test_a_new_run_may_start_from_weights_that_were_trained_for_another_loss(tmp_path):
    make_run(tmp_path / "first", **{"model.family": "prednet"})
    (tmp_path / "first" / "checkpoints").mkdir()
    (tmp_path / "first" / "checkpoints" / "ckpt-1.index").touch()
    second = ["--model.family=prednet", "--model.prednet_extrapolate", "--data.horizon=3"]
    start = [f"--train.run_dir={tmp_path / 'new'}", f"--train.init_from={tmp_path / 'first'}"]
    config, resumes = resolve([*start, *second])
    assert config.model.prednet_extrapolate and not resumes
    with pytest.raises(ValueError, match="another model"):
        resolve([f"--train.run_dir={tmp_path / 'first'}", *second])


def test_init_from_a_run_without_a_checkpoint_is_refused(train, tmp_path):
    make_run(tmp_path / "run")
    code, text = train("--train.run_dir=new", "--train.init_from=run")
    assert code == 2 and "no checkpoint and no weights.npz in run" in text
    assert not (tmp_path / "new").exists()


def test_a_dataset_that_is_not_prepared_is_refused_with_the_command_that_does(train, tmp_path):
    result = train("--train.run_dir=run", "--data.dataset=bair")
    assert_refused(result, tmp_path, "bin/prepare_data.py --dataset=bair --data_dir=data")
    result = train("--train.run_dir=run", "--data.dataset=sim_push", "--data.data_dir=a 'b'")
    assert_refused(result, tmp_path, "no dataset in a 'b'/")
    command = shlex.split(result[1].partition("prepare it with: ")[2])
    assert command[2:] == ["--dataset=sim_push", "--data_dir=a 'b'", "--size=64"]
    assert Path(command[1]).resolve() == ROOT / "bin" / "prepare_data.py"


def test_continuing_from_elsewhere_or_to_fewer_steps_is_refused(train, tmp_path):
    make_run(tmp_path / "run", **{"train.init_from": "a"})
    (tmp_path / "run" / "checkpoints").mkdir()
    (tmp_path / "run" / "checkpoints" / "ckpt-7.index").touch()
    code, text = train("--train.run_dir=run", "--train.init_from=b")
    assert code == 2 and "run began from a, not from b" in text
    code, text = train("--train.run_dir=run", "--train.steps=6", "--train.init_from=./a")
    assert code == 2 and "`train.steps` must be at least 7, which run has done. Received: 6" in text


def test_changes_are_checked_against_the_runs_own_options(tmp_path):
    make_run(tmp_path / "run", **{"data.batch_size": 24})
    run_dir = f"--train.run_dir={tmp_path / 'run'}"
    config, _ = resolve([run_dir, "--train.accumulate=3"])
    assert (config.data.batch_size, config.train.accumulate) == (24, 3)
    # Levels that the run has without naming them are the same model.
    assert resolve([run_dir, "--model.latent_resolutions=1,8,32"])[1]


def test_what_a_resumed_run_changes_is_printed(tmp_path, capsys):
    run = [f"--train.run_dir={tmp_path}"]
    runs.RunFolder(tmp_path).write_config(resolve([*SMALL, *run])[0])
    capsys.readouterr()
    resolve([*run, "--train.seed=4", "--train.jit_compile=false", "--model.width=8"])
    seed, compiled = capsys.readouterr().out.splitlines()
    assert seed == "changed: --train.seed from 0 to 4"
    assert compiled == "changed: --train.jit_compile from auto to false"
    with pytest.raises(UserError):  # that dataset is not prepared here
        resolve([*run, "--train.seed=4", f"--data.data_dir={tmp_path}", "--data.dataset=pusht"])
    assert capsys.readouterr().out == ""


def test_the_next_commands_fit_a_small_test_split():
    fitting = next_commands("runs/x", False, there=2)
    assert fitting[1].endswith("--contexts=2") and fitting[2].endswith("--eval.videos=2")
    assert not any("=32" in line or "contexts" in line for line in next_commands("runs/x", False))


def test_a_folder_name_that_the_system_refuses_is_one_line(train, tmp_path):
    result = train("--train.run_dir=" + "x" * 300)
    assert_refused(result, tmp_path, "cannot write into run folder")


def test_a_damaged_configuration_is_refused(train, tmp_path):
    make_run(tmp_path / "run")
    (tmp_path / "run" / "config.flags").write_text("--model.width\n")
    code, text = train("--train.run_dir=run")
    assert code == 2 and text.count("\n") == 1


def test_a_run_continues_with_its_own_options_and_the_changes(tmp_path):
    make_run(tmp_path / "run", **{"model.width": 32, "train.steps": 9, "train.beta": 0.5})
    config, resumes = resolve([f"--train.run_dir={tmp_path / 'run'}", "--train.steps=20"])
    assert resumes
    assert (config.model.width, config.train.steps, config.train.beta) == (32, 20, 0.5)


@pytest.mark.parametrize(
    "program, mistake",
    [
        ("train.py", ["--model.width=20"]),
        ("serve.py", ["--export=none"]),
        ("predict.py", ["--export=none", f"--video={ROOT / 'docs' / 'images' / 'clip.gif'}"]),
    ],
)
def test_options_are_checked_before_tensorflow_is_imported(tmp_path, program, mistake):
    code = (
        "import runpy, sys\n"
        f"sys.argv = {[program, *mistake]!r}\n"
        f"try: runpy.run_path({str(ROOT / 'bin' / program)!r}, run_name='__main__')\n"
        "except SystemExit as ended: assert ended.code == 2\n"
        "assert 'tfvrnn.config' in sys.modules\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)


def test_a_diverged_run_ends_with_one_line_and_code_1(train, monkeypatch):
    class Diverged(RuntimeError):
        pass

    def diverge(config):
        raise Diverged("loss is nan at step 7")

    fake = types.SimpleNamespace(TrainingDiverged=Diverged, train=diverge)
    monkeypatch.setitem(sys.modules, "tfvrnn.training", fake)
    # Python itself prints the text of such an exit and sets exit code 1.
    code, _ = train("--train.run_dir=run", *SMALL)
    assert code == "error: loss is nan at step 7"


def test_help_names_every_option(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "bin" / "train.py"), run_name="__main__")
    text = capsys.readouterr().out
    assert ended.value.code == 0 and "Train a video predictor" in text
    for name, spec, _ in config_flags.options(Config):
        assert name in text and spec.metadata["help"].split()[0] in text


def test_a_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["program"])

    def fails(arguments):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        runtime.run(fails, "")


@pytest.mark.thorough
def test_tensorflow_starts_without_an_alarm():
    look = "lambda _: __import__('tensorflow').config.list_physical_devices()"
    code = f"from tfvrnn.cli import runtime; runtime.run({look}, '')"
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
    assert ended.stdout == b"" and not re.search(rb"^[EF]\d{4} ", ended.stderr, re.MULTILINE)


def test_only_warnings_that_concern_the_user_are_shown():
    lines = [
        "from tfvrnn import backend; backend.quiet_tensorflow()",
        "import logging; from absl import logging as absl_logging",
        "for log in (logging.getLogger('tensorflow').warning, absl_logging.warning):",
        "    log('`%s` is deprecated', 'x'); log('ops with unsaved custom gradients'); log('hot')",
        "absl_logging.error('a deprecated driver failed')",
    ]
    command = [sys.executable, "-c", "\n".join(lines)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    assert ended.stderr.splitlines() == [
        "hot",
        "WARNING:absl:hot",
        "ERROR:absl:a deprecated driver failed",
    ]
