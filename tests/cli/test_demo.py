"""bin/demo.py: a page of a run, and the user's mistakes in one line."""

import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request

from program_tools import assert_refused


def test_it_serves_a_run_until_it_is_told_to_stop(start, copying_run):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found = []

    def look():
        while not found:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/demo/model") as answer:
                    found.append(json.load(answer))
            except urllib.error.URLError:
                time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)  # it has its handler before it answers

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    code, out, _ = start("demo.py", f"--run_dir={copying_run}", f"--port={port}", "--samples=2")
    thread.join(60)
    assert code == 0 and f"open http://127.0.0.1:{port}/ in a browser" in out
    [model] = found
    assert (model["samples"], model["horizon"], model["image_shape"]) == (2, 2, [8, 8, 1])


def test_demo_refuses(start):
    result = start("demo.py", "--run_dir=r", "--preset=p")
    rule = (
        "only one of `run_dir`, `pretrained` and `preset` may be given. Received: run_dir, preset"
    )
    assert_refused(result, rule)
    assert_refused(start("demo.py", "--run_dir=r"), "no run in r: it has no config.flags")
    assert_refused(start("demo.py", "--preset=p"), "no preset 'p': it is neither a folder, nor")
    assert_refused(start("demo.py", "--pretrained=mnist"), "should be one of <smmnist|")
    assert_refused(start("demo.py", "--samples=17"), "`samples` must lie in 1 to 16. Received: 17")
    assert_refused(start("demo.py", "--port=65536"), "`port` must lie in 0 to 65535")
    result = start("demo.py", "--request_timeout=0")
    assert_refused(result, "`request_timeout` must be positive. Received: 0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = start("demo.py", f"--port={port}")
    assert_refused(result, f"127.0.0.1:{port}: Address already in use; --port chooses another")
