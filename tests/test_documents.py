"""The documents: links lead somewhere, and commands have the options that they name.

`test_documents_run.py` runs the commands, which takes a while.
"""

import importlib
import re
import shlex

import pytest
from documents import PAGES, ROOT, anchors, blocks, links, read

import tfvrnn
from tfvrnn import config_flags
from tfvrnn.config import UserError

MADE_WITH_THE_SITE = "../options.md"  # made by docs/hooks.py
COMMANDS = [
    (page, command)
    for page in PAGES
    for command in [
        *(command for block in blocks(page) for command in block.commands()),
        *re.findall(r"`(python (?:bin|benchmarks)/[^`…]*)`", read(page)),
    ]
    if re.search(r"python (bin|benchmarks)/", command)
]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for link in links(page):
        target, _, anchor = link.partition("#")
        if re.match("https?:", link) or target == MADE_WITH_THE_SITE:
            continue
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), link
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), link


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_commands_have_the_options_that_they_name(page, command, monkeypatch):
    monkeypatch.chdir(ROOT)  # flagfiles are found here
    words = shlex.split(command.split("&&")[-1].rstrip("& "))
    number = next(k for k, word in enumerate(words) if word.endswith(".py"))
    name, given = words[number], words[number + 1 :]
    assert (ROOT / name).is_file()
    if name.startswith("bin/") and given != ["--help"]:
        program = re.search(r'main.run\("(\w+)"\)', (ROOT / name).read_text(encoding="utf-8"))[1]
        options = importlib.import_module(f"tfvrnn.cli.{program}").Options
        flags = [word for word in given if word.startswith("-")]  # fetch_weights takes a name, too
        try:
            config_flags.parse_changes(flags, options)
        except (UserError, config_flags.FlagError) as error:
            pytest.fail(f"{error}")


def test_the_citation_names_the_version():
    assert f"\nversion: {tfvrnn.__version__}\n" in read("CITATION.cff")
