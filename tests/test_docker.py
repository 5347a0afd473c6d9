"""The Dockerfiles: no image is built here, but what they name exists and is what the pages say."""

import configparser
import json
import re
import shlex

import pytest
from documents import ROOT, blocks, read

TRAIN, SERVE = "docker/train.Dockerfile", "docker/serve.Dockerfile"
KEYWORDS = {"FROM", "WORKDIR", "COPY", "RUN", "ARG", "ENTRYPOINT", "CMD"}
PACKAGE = {"setup.cfg", "pyproject.toml", "README.md", "LICENSE", "tfvrnn", "configs"}


def instructions(name):
    """[(keyword, the rest of its line)] of a Dockerfile, continued lines joined."""
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", read(name), flags=re.MULTILINE))
    return [tuple(line.split(" ", 1)) for line in lines.splitlines() if line]


def only(name, keyword):
    """The rest of the one line with this keyword."""
    (rest,) = [rest for key, rest in instructions(name) if key == keyword]
    return rest


def copied(name):
    """{source: target} of all COPY lines."""
    lines = [rest.split() for key, rest in instructions(name) if key == "COPY"]
    return {source: target for *sources, target in lines for source in sources}


def commands(page, beginning):
    found = [command for block in blocks(page) for command in block.commands()]
    return [shlex.split(command) for command in found if command.startswith(beginning)]


@pytest.mark.parametrize("name", [TRAIN, SERVE])
def test_a_dockerfile_is_well_formed(name):
    keys = [key for key, _ in instructions(name)]
    assert keys[0] == "FROM" and set(keys) <= KEYWORDS
    for key, rest in instructions(name):
        if key in ("ENTRYPOINT", "CMD"):
            assert all(isinstance(word, str) for word in json.loads(rest)), rest


def test_the_image_for_training_has_what_the_wheel_is_made_of():
    assert set(copied(TRAIN)) == PACKAGE
    assert all((ROOT / name).exists() for name in PACKAGE)
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    (extra,) = re.findall(r"pip install .*\.\[(\w+)\]", only(TRAIN, "RUN"))
    assert extra in setup["options.extras_require"]
    (program,) = json.loads(only(TRAIN, "ENTRYPOINT"))
    assert f"{program} = " in setup["options.entry_points"]["console_scripts"]
    assert "python:3.11" in only(TRAIN, "FROM")
    assert "Programming Language :: Python :: 3.11" in setup["metadata"]["classifiers"]


def test_the_image_for_serving_serves_as_the_page_does():
    (run, *_) = commands("docs/serving.md", "docker run")
    image = run.index(only(SERVE, "FROM"))
    assert json.loads(only(SERVE, "CMD")) == run[image + 1 :]
    export, target = run[run.index("-v") + 1].split(":")
    assert export == f"$PWD/{only(SERVE, 'ARG').removeprefix('EXPORT=')}"
    assert copied(SERVE) == {"${EXPORT}": target}
    assert f"--out={export.removeprefix('$PWD/')}" in read("docs/serving.md")


def test_what_is_copied_is_not_ignored():
    lines = read(".dockerignore").splitlines()
    assert lines[1] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == PACKAGE | {"exports"}


@pytest.mark.parametrize(("page", "name"), [("docs/scaling.md", TRAIN), ("docs/serving.md", SERVE)])
def test_the_pages_build_what_there_is(page, name):
    (build,) = commands(page, "docker build")
    assert build[build.index("-f") + 1] == name and build[-1] == "."
    image = build[build.index("-t") + 1]
    assert image in commands(page, "docker run")[-1]
