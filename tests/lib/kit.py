"""A `florin dev` of its own for each kit, and a count of what held: kit.mjs says it all, this is the same in Python."""

import atexit
import http.server
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

START_S = 60
STOP_S = 30


class Kit:
    """Counts what was tested and says how it went."""

    def __init__(self, name):
        self.name, self.passed, self.failed, self.skipped = name, 0, 0, 0
        self.work = os.environ.get("KIT_WORK") or tempfile.mkdtemp(prefix=f"florin-{name}-")

    def test(self, sentence):
        """Runs the function below it at once, as one test named by a sentence."""

        def run(function):
            began = time.monotonic()
            try:
                function()
            except Exception:
                self.failed += 1
                print(f"FAILED  {sentence}\n" + "".join("        " + line for line in traceback.format_exc().splitlines(True)))
            else:
                self.passed += 1
                print(f"ok      {sentence} ({(time.monotonic() - began) * 1000:.0f} ms)")
            sys.stdout.flush()
            return function

        return run

    def skip(self, sentence, why):
        """Counts what could not be tested."""
        self.skipped += 1
        print(f"skipped {sentence}: {why}")

    def done(self):
        """Prints the sum and ends the process."""
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        sys.exit(1 if self.failed else 0)


class Florin(dict):
    """The line of `florin dev --json` (or `serve`), and the process behind it."""

    def __init__(self, kit, needs=(), args=(), command="dev"):
        binary = os.environ["FLORIN_BIN"]  # names the program
        self.kit = kit
        self.data = tempfile.mkdtemp(prefix=f"florin-{kit.name}-data-")
        self.log = os.path.join(kit.work, f"{kit.name}.florin.log" if command == "dev" else f"{kit.name}.{command}.florin.log")
        # Without settings of ours, which it would obey or refuse.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FLORIN_")} | {"FLORIN_LOG_FILTER": "debug", "NO_COLOR": "1"}
        command = [binary, command, "--json", "--port", "0", "--data", self.data, *args]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=environment)
        atexit.register(self.process.kill)  # a kit that breaks leaves nothing running
        timer = threading.Timer(START_S, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        if not line:
            raise SystemExit(f"florin ended before it was ready:\n{pathlib.Path(self.log).read_text()[-2000:]}")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        super().__init__(json.loads(line))
        missing = [name for name in needs if not self.get(name)]
        if missing:
            self.process.kill()
            raise SystemExit(f"the line of `florin --json` has no {', '.join(missing)}")

    def stop(self):
        """Stops it as an operator would."""

        @self.kit.test("florin stops when it is asked to")
        def _():
            self.process.send_signal(signal.SIGTERM)
            try:
                assert self.process.wait(STOP_S) == 0, f"ended with {self.process.returncode}"
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise

    def forget(self):
        """Removes its data."""
        shutil.rmtree(self.data, ignore_errors=True)


class Receiver:
    """A small server that keeps what it is sent: `hits` holds (path, headers, body)."""

    def __init__(self):
        self.hits = hits = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                hits.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


def until(what, look, patience_s=10):
    """Waits until `look` gives something, and gives it."""
    end = time.monotonic() + patience_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"waited {patience_s} s for {what}"
        time.sleep(0.05)
