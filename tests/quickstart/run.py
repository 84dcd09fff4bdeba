"""The quick starts, run as they are written: every code block of docs/quickstart, against a `florin dev` of its own."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))
from kit import Florin, Kit  # noqa: E402

WITHIN_S = 120
kit = Kit("quickstart")
florin = Florin(kit, needs=("api", "key"))


def blocks(page, language):
    """The code of a page in one language, in its order."""
    text = (ROOT / "docs" / "quickstart" / page).read_text()
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    assert found, f"{page} has no {language}"
    return "\n".join(found)


def run(command, code, name):
    """Runs the code as a reader would, in an empty folder."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="florin-quickstart-"))
    (folder / name).write_text(code)
    modules = ROOT / "tests" / "node_modules"
    if modules.exists():
        (folder / "node_modules").symlink_to(modules)
    environment = os.environ | {"FLORIN_API": florin["api"], "FLORIN_KEY": florin["key"]}
    ran = subprocess.run([*command, name], cwd=folder, env=environment, capture_output=True, text=True, timeout=WITHIN_S)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


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


florin.stop()
florin.forget()
kit.done()
