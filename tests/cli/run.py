"""The command line as a person and as a script meet it: data on standard output, errors with what to do, exit codes, pipes, listening."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from kit import Florin, Kit, Receiver, until  # noqa: E402
from standardwebhooks import Webhook  # noqa: E402

OK, FAILED, USAGE, NOT_ALLOWED, NOT_FOUND, CONFLICT, UNREACHABLE = range(7)
PROGRAM = os.environ.get("FLORIN_BIN", "")
WITHIN_S = 60
NOBODY = "http://127.0.0.1:1"

kit = Kit("cli")
florin = Florin(kit, needs=("api", "key", "admin_key"))
folder = tempfile.mkdtemp(prefix="florin-cli-")
environment = {name: value for name, value in os.environ.items() if not name.startswith("FLORIN_")}
environment |= {"FLORIN_API": florin["api"], "FLORIN_KEY": florin["key"], "FLORIN_ADMIN_KEY": florin["admin_key"], "NO_COLOR": "1"}


def run(*arguments, code=OK, **more):
    """Runs a command, which must end with this exit code, and gives what it printed: data, and all else."""
    ran = subprocess.run([PROGRAM, *arguments], env=environment | more, cwd=folder, capture_output=True, text=True, timeout=WITHIN_S)
    assert ran.returncode == code, f"{arguments}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
    return ran.stdout, ran.stderr


def asked(*arguments, **more):
    """The object that a command prints as JSON."""
    return json.loads(run(*arguments, "--json", **more)[0])


@kit.test("a payment is made, refunded and found again by its reference")
def _():
    order = asked("pay", "1099", "EUR", "--reference", "cli-1")
    assert order["payment_order_status"] == "captured", order
    said, aside = run("get", "cli-1")
    assert said.startswith("EUR 10.99  captured  cli-1  ord_") and aside == "", said
    assert asked("refund", order["id"], "--amount", "400")["status"] == "succeeded"
    assert "EUR 4.00" in run("get", order["id"])[0]
    attempt = asked("get", order["last_attempt"]["id"])
    assert attempt["object"] == "attempt" and attempt["status"] == "succeeded", attempt


@kit.test("money that is held is captured, or given back")
def _():
    held = asked("pay", "2000", "--hold")
    assert held["payment_order_status"] == "authorized", held
    assert asked("capture", held["id"], "--amount", "500")["amount_captured"] == 500
    other = asked("pay", "2000", "--hold")
    assert asked("void", other["id"])["payment_order_status"] == "canceled"


@kit.test("a declined payment fails, and says so beside the order that is there")
def _():
    said, aside = run("pay", "1000", "--method", "card_visa_chargeDeclinedInsufficientFunds", code=FAILED)
    assert "declined, card_visa_chargeDeclinedInsufficientFunds over stripe" in said, said
    assert aside.startswith("florin: ") and "another method" in aside, aside


@kit.test("a payer who must act is sent somewhere, and no member is a lump of JSON")
def _():
    said, _ = run("pay", "1000", "--method", "hosted")
    assert "send the payer to http" in said and "{" not in said, said


@kit.test("a payment of which nobody knows ends with 6, and says how to look what became of it")
def _():
    said, aside = run("pay", "1000", "--method", "card_threeDSecureRequired", "--reference", "cli-act", code=UNREACHABLE)
    assert "requires_action" in said and "the payer has to act" in aside and "florin get cli-act" in aside, said + aside


@kit.test("what cannot be is refused in words that the command line knows")
def _():
    _, aside = run("pay", "0", code=USAGE)
    assert "`param`" not in aside and "`detail`" not in aside, aside
    order = asked("pay", "1000")["id"]
    run("refund", order)
    _, aside = run("refund", order, code=CONFLICT)
    assert "nothing is left to refund (EUR 10.00 refunded)" in aside and "leave out" not in aside, aside
    held = asked("pay", "1000", "--hold")["id"]
    _, aside = run("capture", held, "--amount", "400", "--keep-rest", code=USAGE)
    assert "one capture" in aside and "--keep-rest" in aside and "`final" not in aside, aside


@kit.test("attempts, keys and deliveries say in a line how they stand")
def _():
    order = asked("pay", "1000", "--method", "card_visa_chargeDeclined", code=FAILED)
    said, _ = run("attempts", "list", order["id"])
    assert "EUR 10.00  declined  " in said and "pi_" in said, said
    key = asked("keys", "create", "--label", "short")
    run("keys", "revoke", key["id"])
    said, _ = run("keys", "list")
    assert f"test  short  {key['hint']}  revoked  " in said, said


@kit.test("each kind of failure has its exit code, and says what to do")
def _():
    for arguments, code, words in (
        (("get", "ord_00000000000000000000000000"), NOT_FOUND, "check the id"),
        (("get", "nothing-of-this-name"), NOT_FOUND, "reference"),
        (("get", "att_0000000000000000000000000001"), NOT_FOUND, "check the id"),
        (("get", "ord_ \u00e4/../.."), NOT_FOUND, "check the id"),
        (("webhooks", "rotate", "whe_x"), NOT_FOUND, "no such webhook endpoint"),
        (("pay", "1099", "XXZ"), USAGE, "such as EUR"),
        (("pay", "1099", "--method", "card_vsia"), USAGE, "no test card `card_vsia`"),
        (("orders", "--limit", "0"), USAGE, "1 to 100"),
        (("ledger", "export", "--from", "yesterday"), USAGE, "2026-11-21"),
        (("listen", "--forward-to", "nowhere"), USAGE, "no address"),
        (("orders", "--api", "ftp://x"), USAGE, "no address"),
        (("pay", "1099", "--reference", "cli-1"), CONFLICT, "another --reference"),
        (("orders", "--api", NOBODY), UNREACHABLE, "Connection refused"),
        (("pay", "ten"), USAGE, "whole minor units"),
        (("pay", "10.99", "EUR"), USAGE, "write 1099 for EUR 10.99"),
        (("listen", "--event", "nope"), USAGE, "order.captured"),
        (("orders", "--colour"), USAGE, "--help"),
        (("trigger", "nothing"), USAGE, "order.captured"),
    ):
        data, aside = run(*arguments, code=code)
        assert data == "" and words in aside, (arguments, data, aside)
    _, aside = run("orders", code=NOT_ALLOWED, FLORIN_KEY="sk_test_wrong")
    assert "in force" in aside and "request req_" in aside, aside
    _, aside = run("orders", code=NOT_ALLOWED, FLORIN_KEY="")
    assert "FLORIN_KEY" in aside, aside


@kit.test("with --json errors are JSON too, mistakes on the command line among them")
def _():
    for arguments, code, name in (
        (("get", "nothing-of-this-name"), NOT_FOUND, "not_found"),
        (("orders", "--api", NOBODY), UNREACHABLE, "unreachable"),
        (("orders", "--colour"), USAGE, "usage"),
    ):
        _, aside = run(*arguments, "--json", code=code)
        problem = json.loads(aside)
        assert problem["code"] == name and problem["detail"] and problem["fix"], problem


@kit.test("a list with --json is an object a line")
def _():
    lines = run("orders", "--json")[0].splitlines()
    assert len(lines) >= 3 and all(json.loads(line)["object"] == "order" for line in lines), lines
    assert len(run("orders", "--limit", "2", "--json")[0].splitlines()) == 2


@kit.test("whoever reads only the first line of a long answer is not shouted at")
def _():
    for command in ("ledger export", "openapi", "completions bash", "man", "events list --limit 100"):
        ran = subprocess.run(["bash", "-c", f'"{PROGRAM}" {command} | head -n 1'],
                             env=environment, cwd=folder, capture_output=True, text=True, timeout=WITHIN_S)
        assert ran.returncode == 0 and ran.stderr == "" and ran.stdout, (command, ran)


@kit.test("the key can come from a file and from standard input, and is never printed")
def _():
    path = pathlib.Path(folder) / "key"
    path.write_text(florin["key"] + "\n")
    said, aside = run("orders", "--key-file", str(path), FLORIN_KEY="sk_test_wrong")
    assert florin["key"] not in said + aside
    ran = subprocess.run([PROGRAM, "orders", "--key-file", "-"], env=environment | {"FLORIN_KEY": ""}, input=florin["key"],
                         capture_output=True, text=True, timeout=WITHIN_S)
    assert ran.returncode == OK, ran.stderr


@kit.test("every command says what it is for")
def _():
    said, _ = run("--help")
    commands = [line.split()[0] for line in said.split("Commands:")[1].split("\n\n")[0].splitlines() if line.strip()]
    assert len(commands) > 20, commands
    for command in commands:
        assert "Usage: florin" in run(command, "--help")[0], command
    for command in ("pay", "capture", "void", "cancel", "refund"):
        assert "6  nobody can be reached, or the outcome is not known" in run(command, "--help")[0], command


@kit.test("an empty list says what would be here and how to make it")
def _():
    secret = asked("merchants", "create", "Empty")
    key = asked("keys", "create", "--merchant", secret["id"], "--label", "cli")["secret"]
    data, aside = run("orders", FLORIN_KEY=key)
    assert data == "" and "florin pay" in aside, aside
    assert run("orders", "--quiet", FLORIN_KEY=key) == ("", "")


@kit.test("events are listened to, handed on with a signature that holds, and caused")
def _():
    shop = Receiver()
    listening = subprocess.Popen([PROGRAM, "listen", "--forward-to", f"{shop.url}/hook", "--event", "refund.*", "--count", "1", "--json"],
                                 env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        secret = listening.stderr.readline().strip().rsplit(" ", 1)[-1]
        assert secret.startswith("whsec_"), secret
        # It has begun when it has looked once; what is caused before that is not news.
        until("an event", lambda: asked("trigger", "refund.succeeded") and shop.hits)
        said, _ = listening.communicate(timeout=WITHIN_S)
    finally:
        listening.kill()
    _, headers, body = shop.hits[0]
    event = Webhook(secret).verify(body, headers)
    assert event["type"].startswith("refund."), event
    assert json.loads(said.splitlines()[0])["id"] == event["id"], said


florin.stop()
florin.forget()
kit.done()
