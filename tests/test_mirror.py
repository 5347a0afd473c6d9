"""Every module has its tests at the same path, or docs/design.md says where."""

import re

from documents import ROOT, read

PACKAGE = ROOT / "tfvrnn"


def elsewhere():
    """Read {module: files of its tests} from the table in docs/design.md."""
    section = read("docs/design.md").partition("## Where a module is tested")[2].partition("## ")[0]
    rows = [row.split("|")[1:3] for row in section.splitlines() if row.startswith("| `")]
    return {
        module: re.findall(r"`([^`]+)`", files)
        for modules, files in rows
        for module in re.findall(r"`([^`]+)`", modules)
    }


def test_every_module_has_its_tests():
    told = elsewhere()
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE)
        own = ROOT / "tests" / module.parent / f"test_{module.name}"
        if module.name != "__init__.py":
            assert own.is_file() != (module.as_posix() in told), module


def test_the_table_names_what_is_there():
    told = elsewhere()
    assert told
    for module, files in told.items():
        assert (PACKAGE / module).is_file(), module
        assert files and all((ROOT / name).is_file() for name in files), files
