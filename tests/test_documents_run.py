"""Every command of the README, docs/ and benchmarks/ runs, at small sizes, page by page.

So do the cells of the notebooks and the examples, at their own sizes.

    python -m pytest -m slow tests/test_documents_run.py

Each page is one shell session in a copy of the checkout, and its blocks run in order. The pages
share the copy, as a reader's would. SMALLER has the sizes that are reduced, and ELSEWHERE the
commands that are not run.
"""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from documents import EXAMPLES, NOTEBOOKS, PAGES, ROOT, blocks, code_cells, read

from tfvrnn import media

pytestmark = pytest.mark.slow

MODEL = "--model.width=8 --model.groups=2 --data.batch_size=2"
SMALLER = {  # further options, which replace those of the page; the first pattern that fits counts
    "bin/evaluate.py --protocol": "",
    "bin/train.py": f"{MODEL} --train.validation_videos=2 --train.average_decay=0.5",
    "bin/sample.py": "--contexts=1 --samples=1",
    "bin/evaluate.py": "--eval.videos=4 --eval.samples=2 --eval.fvd_repeats=1 --eval.horizon=9",
    "bin/prepare_data.py --dataset=sim_push": "--episodes=3",
    "bin/prepare_data.py --dataset=pusht": "--episodes=3 --test_episodes=2",
    "bin/export.py": "--max_batch=4 --samples=2",
    "benchmarks/compare.py": "--steps=2 --videos=4 --samples=1",
    "benchmarks/reproduce.py": "--studies=quickstart --seeds=1 --steps=2 --videos=4 --docs=",
    "benchmarks/metrics.py": "--videos=2",
    "benchmarks/shapes.py": "--contexts=2 --samples=1",
    "benchmarks/data.py": MODEL,
    "benchmarks/soak.py": "--seconds=5",
    "benchmarks/accelerator.py --peer": f"{MODEL} --model.image_size=16 --modes=float32",
    "benchmarks/accelerator.py --plan": f"{MODEL} --model.image_size=16 --modes=float32",
    "benchmarks/": f"{MODEL} --model.image_size=16",
    "tests/faults/kill_loop.py": "--kills=1",
}
ELSEWHERE = {  # pattern: why it is not run here
    r"-m venv|^source |^pip install": "the checks of every change run these in a new environment",
    r"-m pytest": "this is one of its tests",
    r"^docker ": "no container here; tests/serving speaks its protocols",
    r"^kubectl ": "no cluster here; tests/faults starts the workers as processes",
    r"opencv-doc|sha256sum": "nothing is fetched; a recording of noise stands in its place",
    r"--dataset=bair$": "30 GB; --source runs, on records of the original layout",
    r"fvd_differences": "minutes of I3D; tests/test_fvd_differences.py has a cheap network",
    r"clips\.py|accelerator\.py --train": "needs 600 episodes; tests/test_accelerator.py trains",
    r"benchmarks/check\.py": "needs PyTorch; runs train_step.py and sampling.py, which are run",
}
if importlib.util.find_spec("mujoco") is None:
    ELSEWHERE["sim_push"] = "needs the extra sim"
if importlib.util.find_spec("gym_pusht") is None:
    ELSEWHERE["pusht"] = "needs the extra sim"
INCOMPLETE = "--dataset=(bair|cityscapes) --source"  # too few videos here: it exits with 1
SERVERS = {
    "bin/demo.py": 8502,
    "bin/serve.py": 8501,
    "tensorboard.main": 6006,
    "WorkerServer": None,
    "Dispatch": 5050,
}
MADE_FROM_CODE = [  # pages of the site
    "notebooks/load_and_generate/index",
    "notebooks/fit_a_tiny_model/index",
    "examples/next_frame_without_leaking/index",
]
PRELUDES = {  # variables that the Python of a page takes for granted
    "docs/evaluation.md": """
import numpy as np
real = generated = np.random.default_rng(0).integers(0, 256, (4, 9, 32, 32, 3), np.uint8)
frames = truth = real / 255
""",
    "docs/serving.md": """
import numpy as np
frames, seeds = np.zeros((1, 3, 32, 32, 1), np.uint8), [1]
""",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    root = tmp_path_factory.mktemp("docs") / "checkout"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name, follow_symlinks=False)  # one is a link to a folder
    return root


@pytest.fixture(scope="module")
def inputs(checkout):
    """Write the files that the pages take for granted: videos, and downloads."""
    sys.path.insert(0, str(ROOT / "tests" / "data"))
    import test_bair
    import test_cityscapes

    sys.path.pop(0)
    rng = np.random.default_rng(0)
    media.write_video(checkout / "in.mp4", rng.integers(0, 256, (9, 64, 64, 3), np.uint8), 8.0)
    for folder in ("my_recordings", "data/vtest"):
        (checkout / folder).mkdir(parents=True)
        recording = rng.integers(0, 256, (90, 144, 192, 3), np.uint8)
        media.write_video(checkout / folder / "vtest.mp4", recording, 10.0)
    for folder in ("real_videos", "generated_videos"):
        (checkout / folder).mkdir()
        for number in range(4):
            video = rng.integers(0, 256, (30, 64, 64, 3), np.uint8)
            media.write_video(checkout / folder / f"{number}.mp4", video, 10.0)
    for split in ("train", "test"):
        folder = checkout / "original" / "softmotion30_44k" / split
        test_bair.original_records(folder / "a.tfrecords", range(4))
    shutil.make_archive(checkout / "bair", "tar", checkout / "original")
    (checkout / "bair.tar").rename(checkout / "bair_robot_pushing_dataset_v0.tar")
    for split, city in (("train", "ulm"), ("val", "lindau"), ("test", "bonn")):
        test_cityscapes.write(checkout / "streets", split, city, 0, range(30))
    archive = checkout / "leftImg8bit_sequence_trainvaltest.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in (checkout / "streets").rglob("*.png"):
            file.write(path, path.relative_to(checkout / "streets"))


def smaller(command: str) -> str | None:
    """Return the command as it is run here; None if it is not run."""
    if any(re.search(pattern, command) for pattern in ELSEWHERE):
        return None
    command = command.replace(".venv/bin/python", "python").removesuffix("&").strip()
    command = re.sub(r"--peer_python=\S+", "", command)
    command = re.sub(
        r"--train.steps=(\d+)", lambda m: f"--train.steps={1 + int(m[1]) // 500}", command
    )
    key = next((key for key in SMALLER if key in command), None)
    if key and "--help" not in command and ("bin/train.py" not in key or "--flagfile" in command):
        command += f" {SMALLER[key]}"
        if key == "bin/train.py" and "--train.steps" not in command:
            command += " --train.steps=2"
    return command.replace("python ", f"{sys.executable} ", 1)


def session(page: str, folder: Path) -> str:
    """Turn a page into a shell script."""
    lines = ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for number, block in enumerate(blocks(page)):
        if block.language == "python":
            file = folder / f"block_{number}.py"
            file.write_text(PRELUDES.get(page, "") + block.code)
            lines.append(f"PYTHONPATH=. {sys.executable} {file}")
        elif block.language == "sh":
            for command in filter(None, map(smaller, block.commands())):
                lines.append(f"echo + {shlex.quote(command)} >&2")
                port = next((port for name, port in SERVERS.items() if name in command), 0)
                ending = " || [ $? = 1 ]" if re.search(INCOMPLETE, command) else ""
                lines.append(f"{command} &" if port != 0 else command + ending)
                if port:
                    wait = (
                        f"until (exec 3<>/dev/tcp/localhost/{port}) 2>/dev/null; do sleep 1; done"
                    )
                    lines.append(f"timeout 120 bash -c '{wait}'")
    return "\n".join(lines)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])
def test_the_commands_of(page, checkout, inputs, tmp_path):
    if page == "docs/evaluation.md":
        for name, seed in (("a", 0), ("b", 0), ("seed_0", 0), ("seed_1", 1), ("seed_2", 2)):
            run = shutil.copytree(checkout / "runs" / "quickstart", checkout / "runs" / name)
            flags = (run / "config.flags").read_text()
            (run / "config.flags").write_text(f"{flags}--train.seed={seed}\n")
    script = session(page, tmp_path)
    done = subprocess.run(
        ["bash", "-c", script], cwd=checkout, capture_output=True, text=True, timeout=3000
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def run_script(script: Path, checkout: Path, **environment):
    environment = os.environ | {"PYTHONPATH": str(checkout), "MPLBACKEND": "Agg"} | environment
    command = [sys.executable, str(script)]
    done = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=3000
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_the_cells_of(notebook, checkout, tmp_path):
    script = tmp_path / "cells.py"
    script.write_text("\n\n".join("".join(cell["source"]) for cell in code_cells(notebook)))
    run_script(script, checkout)


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example(name, backend, checkout):
    run_script(checkout / name, checkout, KERAS_BACKEND=backend)


def test_the_site_is_built_and_its_links_lead_somewhere(tmp_path):
    for module in ("mkdocstrings", "mkdocs_jupyter"):
        pytest.importorskip(module, reason="needs the extra docs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for page in ("index", "tutorial/index", "api/core/index", "options/index", *MADE_FROM_CODE):
        assert (tmp_path / f"{page}.html").is_file()


INLINE = sorted(
    {
        command
        for page in PAGES
        for command in re.findall(r"`(python (?:bin|benchmarks|tests)/[^`…]*)`", read(page))
        if command != "python bin/prepare_data.py"
    }
)


@pytest.mark.parametrize("command", INLINE)
def test_a_command_within_the_text(command, checkout, inputs):
    command = smaller(command)
    if command is None:
        pytest.skip("not run here, see ELSEWHERE")
    command = command.replace("--out=FOLDER", "--out=runs/compared")
    done = subprocess.run(
        ["bash", "-c", command], cwd=checkout, capture_output=True, text=True, timeout=3000
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
