"""benchmarks/campaign.py trains its list of runs and shows their progress."""

import sys

from documents import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import campaign
from studies import STUDIES

sys.path.pop(0)


def test_a_run_that_has_not_begun_has_no_validation(tmp_path):
    assert campaign.validation_of(tmp_path / "pusht") == "-"


def test_every_run_has_a_configuration():
    from tfvrnn import config_flags
    from tfvrnn.config import Config

    runs = [campaign.options(name, ROOT / "data") for name in campaign.RUNS]
    runs += [[*study.options, *run] for study in STUDIES.values() for run in study.runs.values()]
    for arguments in runs:
        changes = config_flags.parse_changes(
            [a.replace("=configs/", f"={ROOT}/configs/") for a in arguments], Config
        )
        config_flags.build(Config, changes)
