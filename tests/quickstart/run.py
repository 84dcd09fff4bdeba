"""The quick starts, run as they are written: every code block of docs/quickstart, against a `florin dev` of its own."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))
from kit import Florin, Kit, until  # noqa: E402

WITHIN_S = 120
kit = Kit("quickstart")
florin = Florin(kit, needs=("api", "key"))


def blocks(page, language):
    """The code of a page in one language, in its order."""
    text = (ROOT / "docs" / "quickstart" / page).read_text()
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    assert found, f"{page} has no {language}"
    return "\n".join(found)


def run(command, code, name, data=None):
    """Runs the code as a reader would, in an empty folder, or in that in which `florin dev` was started."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="florin-quickstart-"))
    (folder / name).write_text(code)
    if data:
        (folder / "florin-data").symlink_to(data)
    modules = ROOT / "tests" / "node_modules"
    if modules.exists():
        (folder / "node_modules").symlink_to(modules)
    environment = os.environ | {"FLORIN_API": florin["api"], "FLORIN_KEY": florin["key"]}
    ran = subprocess.run([*command, name], cwd=folder, env=environment, capture_output=True, text=True, timeout=WITHIN_S)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def endpoints():
    """The addresses that are told about events."""
    asked = urllib.request.Request(florin["api"] + "/v1/webhook_endpoints", headers={"Authorization": f"Bearer {florin['key']}"})
    return {endpoint["url"] for endpoint in json.load(urllib.request.urlopen(asked))["data"]}


of_the_shop = until("the shop's endpoint", endpoints)


@kit.test("curl pays, repeats, refunds and verifies")
def _():
    said = run(["bash", "-euo", "pipefail"], blocks("curl.md", "sh"), "quickstart.sh")
    for words in ('"payment_order_status":"captured"', "the same answer", '"status":"succeeded"', "it is from Florin"):
        assert words in said, said


@kit.test("Python pays, and its webhook is believed")
def _():
    said = run([os.environ.get("KIT_PYTHON", sys.executable)], blocks("python.md", "python"), "pay.py")
    assert "order.captured" in said and "paid: deliver" in said, said


@kit.test("Node pays, and its webhook is believed")
def _():
    said = run([os.environ.get("KIT_NODE", "node")], blocks("node.md", "js"), "pay.mjs")
    assert "order.captured" in said and "paid: deliver" in said, said


@kit.test("the quick starts leave no endpoint behind")
def _():
    assert endpoints() == of_the_shop, endpoints()


@kit.test("the page about faults works as it is written")
def _():
    said = run(["bash", "-euo", "pipefail"], blocks("../faults.md", "sh"), "faults.sh", florin.data)
    assert '"struck":1' in said, said


florin.stop()
florin.forget()
kit.done()
