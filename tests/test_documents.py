"""The documents: links lead somewhere, and commands have the options that they name.

`test_documents_run.py` runs the commands, which takes a while.
"""

import ast
import importlib
import json
import re
import shlex

import pytest
from documents import EXAMPLES, NOTEBOOKS, PAGES, ROOT, anchors, blocks, code_cells, links, read

import tfvrnn
from tfvrnn import config_flags
from tfvrnn.config import UserError

HEAD = ["Title", "Author", "Date created", "Last modified", "Description", "Accelerator"]
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


@pytest.mark.parametrize("page", [*PAGES, *EXAMPLES])
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


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_stored_as_it_was_executed(notebook):
    book = json.loads(notebook.read_text())
    assert book["nbformat"] == 4 and book["metadata"]["kernelspec"]["name"] == "python3"
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data"}
    assert not any(output.get("name") == "stderr" for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_sentence_stands_before_every_cell_of_a_notebook(notebook):
    book = json.loads(notebook.read_text())
    names = {cell["id"] for cell in book["cells"]}
    assert book["nbformat_minor"] == 5 and len(names) == len(book["cells"])
    kinds = [cell["cell_type"] for cell in book["cells"]]
    assert kinds == ["markdown", "code"] * (len(kinds) // 2) and 6 <= len(kinds) // 2 <= 10


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_text_between_code(name):
    """docs/hooks.py makes a page of it, as keras.io does."""
    _, head, *parts = re.split(r'^"""$', read(name), flags=re.MULTILINE)
    entries = [line.split(": ")[0] for line in head.strip().splitlines()]
    assert entries == HEAD and parts[0].strip() == ""
    code, text = parts[::2], parts[1::2]
    assert len(code) == len(text) + 1 and sum("\n## " in part for part in text) >= 5
    for part in code:
        ast.parse(part)


def test_the_citation_names_the_version():
    assert f"\nversion: {tfvrnn.__version__}\n" in read("CITATION.cff")
