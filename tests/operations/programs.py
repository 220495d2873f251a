"""The programs that these tests start, each stopped by its id."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests/operations"
SPARKLER = os.environ.get("SPARKLER", str(ROOT / "target/debug/sparkler"))
VALUES = (ROOT / "deploy/helm/sparkler/values.yaml").read_text(encoding="utf-8")


def value(name):
    """A number of the chart's values."""
    return int(re.search(rf"^ *{name}: (\d+)$", VALUES, re.M)[1])


def free_port(host="127.0.0.1"):
    with socket.socket() as listener:
        listener.bind((host, 0))
        return listener.getsockname()[1]


def page(address, path="/metrics"):
    with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as response:
        return response.read().decode()


def wait_until(what, condition, seconds=30):
    """Waits for something that raises OSError or is false until it is there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := condition():
                return found
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"{what}: not within {seconds} s")


class Program:
    def __init__(self, *arguments, **more):
        self.process = subprocess.Popen(arguments, **{"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, **more})

    def stop(self, sent=signal.SIGTERM, patience=60):
        self.process.send_signal(sent)
        return self.process.wait(patience)

    def kill(self):
        self.process.kill()
        self.process.wait()


class Simulator(Program):
    """The stand-in for Fireworks."""

    def __init__(self, *arguments):
        port = free_port()
        self.base_url = f"http://127.0.0.1:{port}/inference/v1"
        super().__init__(SPARKLER, "simulate", f"--listen=127.0.0.1:{port}", *arguments)


class Worker(Program):
    """A worker with a loopback address of its own, as a pod has one."""

    count = 0

    def __init__(self, port, base_url, *arguments):
        Worker.count += 1
        self.address = f"127.0.0.{10 + Worker.count}"
        self.name = f"worker-{Worker.count}"
        self.port = port
        self.admin = f"{self.address}:{free_port(self.address)}"
        super().__init__(
            SPARKLER, "serve", f"--listen={self.address}:{port}", f"--admin-listen={self.admin}",
            f"--worker-id={self.name}", f"--fireworks-base-url={base_url}", "--log=off", "--insecure",
            *arguments,
        )  # fmt: skip

    def wait_until_ready(self):
        wait_until(f"{self.name} is ready", lambda: page(self.admin, "/readyz"))
        return self

    def metric(self, name):
        """The sum of a metric's series; None where there is none."""
        lines = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", page(self.admin), re.M)
        return sum(map(float, lines)) if lines else None
