"""The page in headless Chromium, where it is installed."""

import json
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image
from serving_tools import get, started
from tiny_models import GreyDrift

from tfvrnn import media
from tfvrnn.config import Config, DataConfig, ModelConfig
from tfvrnn.serving.in_memory import InMemory
from tfvrnn.serving.server import page
from tfvrnn.serving.server.demo import DemoServer
from tfvrnn.serving.server.server import listen

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
CONFIG = Config(
    model=ModelConfig(image_size=8, channels=1, context_frames=2), data=DataConfig(digits=1)
)
# Decodes files as the page does, and sends what it found.
DECODING = b"""<!doctype html><script type="module">
import { readFrames } from "./uploads.js";
const found = {};
for (const [key, names, type, shape] of [
  ["gif", ["clip.gif"], "image/gif", [8, 8, 1]],
  ["images", ["f10.png", "f9.png"], "image/png", [8, 8, 3]],
  ["cut", ["clip.gif"], "image/gif", [8, 8, 3]],
]) {
  const files = await Promise.all(names.map(
    async (name) => new File([await (await fetch(name)).blob()], name, { type })));
  const most = key === "cut" ? 2 : 100;
  found[key] = (await readFrames(files, shape, most, 8)).map((f) => [...f]);
}
await fetch("/found", { method: "POST", body: JSON.stringify(found) });
</script>"""


def chromium(tmp_path, *arguments):
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command = [CHROMIUM, *options, f"--user-data-dir={tmp_path / 'profile'}", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_the_page_asks_for_futures_of_the_first_clip_and_draws_them(tmp_path):
    servable = InMemory(GreyDrift(), 3, CONFIG)
    run, asked = servable.run, []

    def recorded(name, inputs):
        asked.append(inputs)
        return run(name, inputs)

    servable.run = recorded
    server = DemoServer(servable, listen("127.0.0.1", 0), max_request_mb=1, request_timeout=60)
    with started(server):
        clip = np.frombuffer(get(server, "/demo/clips/0")[0], np.uint8).reshape(-1, 8, 8, 1)
        address = f"http://127.0.0.1:{server.rest_port}/"
        screen = tmp_path / "page.png"
        options = ["--window-size=1280,900", "--virtual-time-budget=10000"]
        assert chromium(tmp_path, f"--screenshot={screen}", *options, address).wait(120) == 0
    [inputs] = asked
    np.testing.assert_array_equal(inputs["frames"][0], clip[:2])
    assert (inputs["seed"], inputs["horizon"], inputs["temperature"]) == ([0], [10], [1.0])
    with Image.open(screen) as image:
        pixels = np.asarray(image.convert("RGB"))
    drawn = {colour: (pixels == colour).all(axis=-1).sum() for colour in (media.GREEN, media.RED)}
    assert drawn[media.GREEN] > 2 * 4 * 60  # around the two given frames, at least
    assert drawn[media.RED] > 3 * 4 * 200 or drawn[media.GREEN] > 4 * 4 * 200  # as it plays


def test_files_become_frames_of_the_models_size(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (4, 1, 2, 3), np.uint8)
    frames = media.enlarge(frames, 8)  # 8x16: the centre square is half of each colour
    Image.fromarray(frames[0]).save(
        tmp_path / "clip.gif", save_all=True, append_images=map(Image.fromarray, frames[1:])
    )
    for number in (0, 1):
        Image.fromarray(frames[number]).save(tmp_path / f"f{9 + number}.png")
    contents = {f"/{path.name}": path.read_bytes() for path in tmp_path.iterdir()}
    contents["/uploads.js"] = (page.FOLDER / "uploads.js").read_bytes()
    contents["/"] = DECODING
    found = answer_of(tmp_path, contents)
    square = media.read_video(tmp_path / "clip.gif")[:, :, 4:12]
    np.testing.assert_array_equal(np.reshape(found["cut"], (2, 8, 8, 3)), square[:2])
    np.testing.assert_array_equal(np.reshape(found["images"], (2, 8, 8, 3)), frames[:2, :, 4:12])
    grey = np.reshape(found["gif"], (4, 8, 8, 1)).astype(int)
    assert np.abs(grey - media.fit(media.read_video(tmp_path / "clip.gif"), (8, 8, 1))).max() <= 1


def answer_of(tmp_path, contents):
    """Open a page of these contents; return the JSON that it sends."""
    found, sent = [], threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def answer(self, status, kind="", body=b""):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            kind = "text/javascript" if self.path.endswith(".js") else "text/html"
            known = self.path in contents
            self.answer(200 if known else 404, kind, contents.get(self.path, b""))

        def do_POST(self):
            found.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.answer(200)
            sent.set()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        browser = chromium(tmp_path, f"http://127.0.0.1:{server.server_address[1]}/")
        try:
            assert sent.wait(120)
        finally:
            browser.terminate()
            browser.wait()
            server.shutdown()
            thread.join()
    return found[0]
