"""A Chromium that tests drive through its own DevTools protocol, over a pair of pipes: no driver, no package, no port."""

import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check", "--disable-gpu", "--hide-scrollbars",
    "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--no-sandbox",
)  # fmt: skip
# The protocol speaks on file descriptors 3 and 4, which have to be put in place between fork and exec.
LAUNCH = """
import fcntl, os, sys
read, write = (fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3])
os.dup2(read, 3), os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
PATIENCE = 30  # seconds for one answer


def find():
    """The path of a Chromium. Skips the test where there is none; under CI=true that is a failure."""
    if os.name != "posix":
        pytest.skip("needs Chromium on a system with pipes to inherit")
    found = os.environ.get("SCRATCHVAE_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("needs Chromium, and CI must have it: install one of " + ", ".join(NAMES))
        pytest.skip("needs Chromium")
    return found


class Page:
    """One page. `console` collects errors, warnings and exceptions of its scripts; `requests` every address it asked for."""

    def __init__(self, process, to, source):
        self.process, self.to, self.source = process, to, source
        self.numbers, self.buffer, self.events = itertools.count(1), b"", []
        self.console, self.requests = [], []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def __call__(self, method, **parameters):
        """Ask the page for something of the DevTools protocol → its result"""
        return self.ask(method, session=self.session, **parameters)

    def ask(self, method, session=None, **parameters):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        self.to.write(json.dumps(message).encode() + b"\0")
        self.to.flush()
        while (answer := self._receive()).get("id") != number:
            self._note(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, path, anchor=""):
        """Load a file and wait until its scripts have run."""
        self.requests.clear()
        self("Page.navigate", url="about:blank")  # so that another anchor of the same file loads it anew
        self("Page.navigate", url=Path(path).resolve().as_uri() + anchor)
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def js(self, expression):
        """The value of an expression, of anything JSON can hold."""
        answer = self("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, expression):
        """Until the expression is true. Raises TimeoutError."""
        end = time.monotonic() + PATIENCE
        while not self.js(expression):
            if time.monotonic() > end:
                raise TimeoutError(expression)
            time.sleep(0.01)

    def press(self, key):
        """A key, such as "ArrowRight" or "j", pressed and released."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        codes = {"Tab": 9, "Enter": 13, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        code = codes.get(key) or ord(key.upper())
        self("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
        self("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def move(self, x, y):
        """The mouse, to a place in the window."""
        self("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            self("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def size(self, width, height, dark=False, phone=False):
        """The window, and whether the system prefers dark."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone)
        self("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def _receive(self):
        end = time.monotonic() + PATIENCE
        while b"\0" not in self.buffer:
            if not select.select([self.source], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError("Chromium does not answer")
            part = os.read(self.source, 1 << 20)
            if not part:
                raise RuntimeError(f"Chromium ended: {self.process.poll()}")
            self.buffer += part
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event):
        parameters = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.console.append(parameters["exceptionDetails"].get("exception", {}).get("description", str(parameters)))
        elif event.get("method") == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.console.append(str(parameters["args"]))
        elif event.get("method") == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.console.append(parameters["entry"]["text"])
        elif event.get("method") == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])


@contextlib.contextmanager
def page():
    """A Page of a fresh Chromium, which ends with the block."""
    path = find()
    theirs_in, to = os.pipe()
    source, theirs_out = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, open(to, "wb") as pipe:
        command = [sys.executable, "-c", LAUNCH, str(theirs_in), str(theirs_out), path, *FLAGS, f"--user-data-dir={profile}"]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, pass_fds=(theirs_in, theirs_out), **quiet)
        os.close(theirs_in), os.close(theirs_out)
        try:
            opened = Page(process, pipe, source)
            yield opened
            opened.ask("Browser.close")
            process.wait(PATIENCE)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            os.close(source)
