"""schemathesis against our own OpenAPI description: every operation, valid and broken input, against a running program.

What it finds is either a bug in the program or a lie in the description; there is no list of accepted findings."""

import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from kit import Florin, Kit  # noqa: E402

EXAMPLES = 200 if os.environ.get("FLORIN_FULL") else 15
SEED = os.environ.get("KIT_SEED", "20261121")
MINUTES = 90 if os.environ.get("FLORIN_FULL") else 8

kit = Kit("api")
florin = Florin(kit, needs=["api", "openapi", "key"])
report = os.path.join(kit.work, "schemathesis.xml")
command = [
    sys.executable, "-m", "schemathesis.cli",
    "--config-file", str(pathlib.Path(__file__).with_name("schemathesis.toml")),
    "run", florin["openapi"],
    "--url", florin["api"],
    "--header", f"Authorization: Bearer {florin['key']}",
    "--max-examples", str(EXAMPLES),
    "--seed", SEED,
    "--continue-on-failure",
    "--report", "junit",
    "--report-junit-path", report,
    "--generation-database", "none",
    "--no-color",
]
print(f"{EXAMPLES} examples an operation, seed {SEED}", flush=True)
try:
    status = subprocess.run(command, timeout=MINUTES * 60, cwd=kit.work, check=False).returncode
except subprocess.TimeoutExpired:
    status = f"still at it after {MINUTES} minutes"

for case in xml.etree.ElementTree.parse(report).iter("testcase") if os.path.exists(report) else ():
    bad = [one for one in case if one.tag in ("failure", "error")]
    if bad:
        kit.failed += 1
        print(f"FAILED  {case.get('name')}")
    elif any(one.tag == "skipped" for one in case):
        kit.skip(case.get("name"), "schemathesis left it out")
    else:
        kit.passed += 1


@kit.test("schemathesis finds nothing")
def _():
    assert status == 0, status
    assert kit.passed > 10, f"it tested {kit.passed} operations"


florin.stop()
florin.forget()
kit.done()
