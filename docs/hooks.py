"""Pages of the site that no Markdown file in docs/ holds, and links between pages.

MkDocs calls the functions below; mkdocs.yml names this file.
"""

import html
import importlib
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

from tfvrnn import config_flags
from tfvrnn.cli.main import PROGRAMS

# Page of the site: file of the repository.
OUTSIDE = {
    "index.md": "README.md",
    "benchmarks.md": "benchmarks/README.md",
    "changes.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "examples/next_frame_without_leaking.md": "docs/examples/next_frame_without_leaking.py",
}
PAGE_OF = {source: page for page, source in OUTSIDE.items()}
LINK = re.compile(r"(?P<text>!?\[[^\]]*\])\((?P<target>[^)\s]+)\)")


def on_files(files, config):
    """Add the pages from outside, the examples and the options."""
    root = Path(config.config_file_path).parent
    for page, source in OUTSIDE.items():
        text = (root / source).read_text(encoding="utf-8")
        text = example(text) if source.endswith(".py") else text
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, "options.md", content=options()))
    return files


def example(script: str) -> str:
    """An example as Markdown: its strings between the statements are text, the rest is code."""
    _, head, *parts = re.split(r'^"""$', script, flags=re.MULTILINE)
    entries = dict(line.split(": ", 1) for line in head.strip().splitlines())
    text = [f"# {entries['Title']}", entries["Description"]]
    for number, part in enumerate(map(str.strip, parts)):
        text += [part if number % 2 else f"```python\n{part}\n```"] if part else []
    return "\n\n".join(text)


def options() -> str:
    """Every option of every program, from the dataclasses that declare them."""
    text = ["# Options"]
    for name in PROGRAMS:
        text += ["", f"## tfvrnn {name}", "", "| option | default | |", "|---|---|---|"]
        program = importlib.import_module(f"tfvrnn.cli.{name}")
        text += map(_row, config_flags.options(program.Options))
    return "\n".join(text)


def _row(option) -> str:
    name, field, hint = option
    help, choices = field.metadata["help"], field.metadata["choices"]
    one_of = f" One of: {', '.join(filter(None, choices))}." if choices else ""
    help = re.sub(r"([_*])", r"\\\1", html.escape(help, quote=False))
    return f"| `--{name}` | `{config_flags.to_text(field.default, hint) or ' '}` | {help}{one_of} |"


def on_page_markdown(markdown, page, config, files):
    """Turn links between files of the repository into links between pages."""
    source = OUTSIDE.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def on_site(link):
        target, _, anchor = link["target"].partition("#")
        if not target or ":" in target:
            return link[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        place = PAGE_OF.get(path, path.removeprefix("docs/") if path.startswith("docs/") else None)
        if place is None:  # a file that the site does not show
            return link["text"].removeprefix("!")[1:-1]
        place = posixpath.relpath(place, posixpath.dirname(page.file.src_uri) or ".")
        return f"{link['text']}({place}{'#' + anchor if anchor else ''})"

    return LINK.sub(on_site, markdown)
