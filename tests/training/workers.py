"""Start several worker processes on loopback."""

import json
import os
import socket
import subprocess
import sys


def start_workers(command, count=2):
    """Start one process per worker, with the variable that lets them find each other."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    addresses = [f"localhost:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    processes = []
    for index in range(count):
        task = {"type": "worker", "index": index}
        cluster = json.dumps({"cluster": {"worker": addresses}, "task": task})
        processes.append(
            subprocess.Popen(
                [sys.executable, *map(str, command)],
                env=os.environ | {"TF_CONFIG": cluster, "TF_CPP_MIN_LOG_LEVEL": "3"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    return processes


def finish(processes, seconds=300):
    """Wait for processes that end by themselves: [(exit code, output)]."""
    ended = []
    try:
        for process in processes:
            output, _ = process.communicate(timeout=seconds)
            ended.append((process.returncode, output))
    finally:
        for process in processes:
            process.kill()
    return ended
