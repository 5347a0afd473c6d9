import runpy
import sys

import pytest
from program_tools import ROOT


@pytest.fixture
def start(monkeypatch, capsys, tmp_path):
    """Run a program in this process: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def start(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / "bin" / name), run_name="__main__")
        return ended.value.code, *capsys.readouterr()

    return start
