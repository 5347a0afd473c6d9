"""Shared parts of the tests of the documents: pages, links and blocks of code."""

import json
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "docs/tutorial.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
    "benchmarks/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CODE_OF_CONDUCT.md",
]
PAGES = list(dict.fromkeys(PAGES))
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
EXAMPLES = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs" / "examples").glob("*.py"))
FENCED = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: its language and its text."""

    language: str
    code: str

    def commands(self) -> list[str]:
        """List the commands of a shell block, with continued lines joined, without comments."""
        lines = re.sub(r"\\\n\s*", "", self.code).splitlines()
        return [line for line in (re.sub(r"\s+#.*", "", line).strip() for line in lines) if line]


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    return [Block(found["language"], found["code"]) for found in FENCED.finditer(read(page))]


def code_cells(notebook: Path) -> list[dict]:
    return [c for c in json.loads(notebook.read_text())["cells"] if c["cell_type"] == "code"]


def links(page: str) -> list[str]:
    return [found["target"] for found in LINK.finditer(FENCED.sub("", read(page)))]


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MkDocs name them."""
    plain = [re.sub(r"[^\w\- ]", "", heading).strip().lower() for heading in HEADING.findall(text)]
    return {heading.replace(" ", "-") for heading in plain}
