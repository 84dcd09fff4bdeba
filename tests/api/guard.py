"""What somebody with bad intentions tries first, against a running program: other people's orders, keys that reach too far, input that is no input.

Only Python's own library, so that what is sent is what stands here."""

import http.client
import json
import os
import pathlib
import socket
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from kit import Florin, Kit, until  # noqa: E402

BODY_BYTES_MAX = 262_144
CARD = "4111111111111111"  # published by the network for tests

kit = Kit("guard")
florin = Florin(kit, needs=["api", "stripe", "key", "admin_key"])


def call(method, path, body=None, key=None, base="api", headers=None, idempotency=True):
    """One call: its status and what its body says."""
    address = urllib.parse.urlsplit(florin[base])
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    sent = {"Authorization": f"Bearer {key or florin['key']}"} if key != "" else {}
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
    if body is not None and base != "stripe":
        sent["Content-Type"] = "application/json"
    if method == "POST" and idempotency and base == "api":
        sent["Idempotency-Key"] = str(uuid.uuid4())
    connection.request(method, path, body, sent | (headers or {}))
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    try:
        return answer.status, json.loads(text)
    except ValueError:
        return answer.status, text


def made(path, body, **more):
    status, answer = call("POST", path, body, **more)
    assert status in (200, 201), (status, answer)
    return answer


def order(**members):
    return {"amount": 1099, "currency": "EUR", "reference": str(uuid.uuid4())} | members


paid = made("/v1/orders", order(confirm=True, method="card_visa"))
refund = made(f"/v1/orders/{paid['id']}/refunds", {"amount": 100})
customer = made("/v1/customers", {"name": "Ada"})
endpoint = made("/v1/webhook_endpoints", {"url": "http://127.0.0.1:9/hook", "events": ["*"]})
event = call("GET", f"/v1/orders/{paid['id']}/events")[1]["data"][0]
other = made("/v1/merchants", {"name": "Somebody else"}, key=florin["admin_key"])


@kit.test("another merchant, and the same merchant's live key, see and move nothing")
def _():
    mine = made("/v1/keys", {"merchant": other["id"], "mode": "test"}, key=florin["admin_key"])["secret"]
    owner = call("GET", "/v1/merchants", key=florin["admin_key"])[1]["data"]
    live = [made("/v1/keys", {"merchant": one["id"], "mode": "live"}, key=florin["admin_key"])["secret"] for one in owner]
    for key in [mine, *live]:
        reads = [
            f"/v1/orders/{paid['id']}", f"/v1/orders/{paid['id']}/events", f"/v1/orders/{paid['id']}/ledger_entries",
            f"/v1/orders/{paid['id']}/attempts", f"/v1/orders/{paid['id']}/refunds", f"/v1/orders/{paid['id']}/deliveries",
            f"/v1/events/{event['id']}", f"/v1/customers/{customer['id']}", f"/v1/webhook_endpoints/{endpoint['id']}",
        ]
        for path in reads:
            status, answer = call("GET", path, key=key)
            assert status == 404, (path, status, answer)
        moves = [("refunds", {"amount": 1}), ("capture", {}), ("void", {}), ("cancel", {}), ("confirm", {"method": "card_visa"})]
        for name, body in moves:
            status, answer = call("POST", f"/v1/orders/{paid['id']}/{name}", body, key=key)
            # Another merchant has no provider here, which is said before an order is looked for.
            assert status == 404 or (name, answer["code"]) == ("confirm", "no_connection"), (name, status, answer)
        for path in ["/v1/orders", "/v1/events", "/v1/deliveries", "/v1/ledger_entries", "/v1/customers", "/v1/balances"]:
            status, answer = call("GET", path, key=key)
            assert (status, answer["data"]) == (200, []), (path, answer)


@kit.test("a key does what its scopes say and no more, and rolling one gains nothing")
def _():
    manage = made("/v1/keys", {"scopes": ["manage"]})
    pay = made("/v1/keys", {"scopes": ["pay"]})
    for path, body, key in [
        ("/v1/orders", order(), manage["secret"]),
        (f"/v1/orders/{paid['id']}/refunds", {"amount": 1}, pay["secret"]),
        ("/v1/keys", {}, pay["secret"]),
        ("/v1/connections", {"rail": "stripe"}, pay["secret"]),
        ("/v1/keys", {"scopes": ["pay"]}, manage["secret"]),
        (f"/v1/keys/{pay['id']}/roll", {}, manage["secret"]),
    ]:
        status, answer = call("POST", path, body, key=key)
        assert (status, answer["code"]) == (403, "forbidden"), (path, status, answer)
    rolled = made(f"/v1/keys/{pay['id']}/roll", {"overlap_s": 0})
    assert call("POST", "/v1/orders", order(), key=pay["secret"])[0] == 401
    assert call("POST", f"/v1/keys/{pay['id']}/roll", {})[0] == 404, "a key that opens nothing has no successor"
    assert call("POST", "/v1/orders", order(), key=pay["secret"])[0] == 401, "and does not come back"
    made(f"/v1/keys/{rolled['id']}/revoke", {})
    assert call("POST", "/v1/orders", order(), key=rolled["secret"])[0] == 401


@kit.test("a merchant's key administers nothing, and no key at all does nothing")
def _():
    for key in ["", florin["key"], "sk_test_" + "0" * 48, "sk_live_x", "nonsense", "\u00e9".encode().decode("latin-1")]:
        status, answer = call("POST", "/v1/merchants", {"name": "Mallory"}, key=key)
        assert status == 401, (key, status, answer)
    for path in ["/v1/orders", "/v1/events", "/v1/keys", "/v1/balances", f"/v1/orders/{paid['id']}"]:
        assert call("GET", path, key="")[0] == 401
        assert call("GET", path, key=florin["admin_key"])[0] == 401, "the admin key belongs to no merchant"


@kit.test("a card number is taken nowhere and repeated nowhere")
def _():
    spaced = " ".join(CARD[at:at + 4] for at in range(0, 16, 4))
    for number in [CARD, spaced, spaced.replace(" ", "-"), spaced.replace(" ", "_"), f"card_{CARD}", f"pm_{CARD}"]:
        for path, body in [
            ("/v1/orders", order(confirm=True, method=number)),
            ("/v1/methods", {"rail": "stripe", "token": number}),
        ]:
            status, answer = call("POST", path, body)
            assert 400 <= status < 500, (status, answer)
            assert number not in json.dumps(answer), answer


@kit.test("what one customer keeps pays for no other, and for nobody when they are gone")
def _():
    other = made("/v1/customers", {"name": "Grace"})
    method = call("POST", "/v1/payment_methods/pm_card_visa/attach", f"customer={customer['id']}", base="stripe", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert method[0] == 200, method
    listed = call("GET", f"/v1/methods?customer={customer['id']}")[1]
    kept = listed["data"][0]["id"]
    assert made("/v1/orders", order(confirm=True, method=kept, customer=customer["id"]))["payment_order_status"] == "captured"
    status, said = call("POST", "/v1/orders", order(confirm=True, method=kept, customer=other["id"]))
    assert (status, said["code"], said["param"]) == (422, "unknown_method", "method"), (status, said)
    waiting = made("/v1/orders", order(customer=other["id"]))
    status, said = call("POST", f"/v1/orders/{waiting['id']}/confirm", {"method": kept})
    assert (status, said["code"]) == (422, "unknown_method"), (status, said)
    assert call("DELETE", f"/v1/customers/{other['id']}")[0] == 200
    gone = made("/v1/customers", {"name": "Gone"})
    call("POST", "/v1/payment_methods/pm_card_visa/attach", f"customer={gone['id']}", base="stripe", headers={"Content-Type": "application/x-www-form-urlencoded"})
    last = call("GET", f"/v1/methods?customer={gone['id']}")[1]["data"][0]["id"]
    assert call("DELETE", f"/v1/customers/{gone['id']}")[0] == 200
    status, said = call("POST", "/v1/orders", order(confirm=True, method=last))
    assert (status, said["code"]) == (422, "unknown_method"), (status, said)


@kit.test("an e-mail address has one @ with something on both sides")
def _():
    for email in ["ada", "@", "ada@", "a@b@c", "ada @example.org"]:
        for method, path, body in [
            ("POST", "/v1/orders", order(email=email)),
            ("POST", "/v1/customers", {"email": email}),
            ("POST", f"/v1/customers/{customer['id']}", {"email": email}),
        ]:
            status, answer = call(method, path, body)
            assert (status, answer["code"], answer["param"]) == (422, "invalid_value", "email"), (path, email, status, answer)
    assert made("/v1/customers", {"email": "grüße@bücher.example"})["email"] == "grüße@bücher.example"


@kit.test("an address with a name and a password in it, or of another kind, is no address")
def _():
    for url in ["javascript:alert(1)", "file:///etc/passwd", "https://u:p@host.example/", "https://:p@host.example/", "//host.example", "http://",
                " https://host.example/", "https://host\t.example/", "https:host.example"]:
        for path, body in [("/v1/orders", order(return_url=url)), ("/v1/webhook_endpoints", {"url": url, "events": ["*"]})]:
            status, answer = call("POST", path, body)
            assert 400 <= status < 500 and answer["fix"], (url, status, answer)


@kit.test("what is no input is refused with a problem, and the next call works")
def _():
    deep = "[" * 100_000 + "]" * 100_000
    bodies = [
        "", "null", "[]", '"x"', "{", deep, '{"amount":' + deep + "}", '{"amount":1e400,"currency":"EUR","reference":"x"}',
        '{"amount":9223372036854775808,"currency":"EUR","reference":"x"}', '{"amount":-1,"currency":"EUR","reference":"x"}',
        '{"amount":1,"currency":"eur\\u0000","reference":"x"}', '{"amount":1,"currency":"EUR","reference":"a\\u0000b"}',
        '{"amount":1,"currency":"EUR","reference":"x","metadata":{"a\\u0000":"b"}}', '{"amount":1,"amount":2,"currency":"EUR","reference":"x"}',
        b"\xff\xfe{}", '{"amount":1,"currency":"EUR","reference":"\\ud800"}', "{" + '"a":1,' * 20_000 + '"b":1}',
    ]
    for body in bodies:
        status, answer = call("POST", "/v1/orders", body if isinstance(body, bytes) else body.encode())
        assert 400 <= status < 500, (body[:60], status, answer)
        assert answer["fix"] and answer["code"] and len(json.dumps(answer)) < 4_000, answer
    status, answer = call("POST", "/v1/orders", b'{"reference":"' + b"x" * BODY_BYTES_MAX + b'"}')
    assert (status, answer["code"]) == (413, "body_too_large"), (status, answer)
    for path in ["/v1/orders/%00", "/v1/customers/%00", "/v1/customers/%ff", "/v1/connections/..%2f..%2fetc", "/v1/events/" + "e" * 4_000, "/v1/methods/%00"]:
        status, answer = call("GET", path)
        assert 400 <= status < 500 and answer["fix"], (path, status, answer)
    many = "&".join(f"metadata[k{at}]=v" for at in range(200))
    for query in ["limit=0", "limit=101", "limit=-1", "limit=x", "after=x", "nonsense=1", "reference=%00", "status=%f0%28", "metadata[a]=%00", many]:
        status, answer = call("GET", f"/v1/orders?{query}")
        assert 400 <= status < 500 and answer["fix"], (query[:60], status, answer)
    assert call("GET", f"/v1/orders/{paid['id']}")[0] == 200


@kit.test("a notice without a right signature changes nothing, however large it is")
def _():
    hook = call("GET", "/v1/connections")[1]["data"][0]["id"]
    for headers in [{}, {"Stripe-Signature": "t=1,v1=00"}, {"Stripe-Signature": "t=,v1="}, {"Stripe-Signature": "\u00e9"}]:
        forged = {"id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "data": {"object": {"id": "pi_1"}}}
        status, _ = call("POST", f"/hooks/{hook}", forged, key="", headers=headers)
        assert status == 400, status
    status, _ = call("POST", f"/hooks/{hook}", "[" + "0," * 1_000_000 + "0]", key="")
    assert status == 413, status
    assert call("POST", "/hooks/con_00000000000000000000000000", {}, key="")[0] == 404


@kit.test("who sends nothing, or one byte at a time, keeps nobody else from being answered")
def _():
    address = urllib.parse.urlsplit(florin["api"])
    slow = []
    for _ in range(300):
        one = socket.create_connection((address.hostname, address.port), timeout=10)
        one.sendall(b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n")
        slow.append(one)
    try:
        assert call("GET", f"/v1/orders/{paid['id']}")[0] == 200
    finally:
        for one in slow:
            one.close()
    assert call("GET", f"/v1/orders/{paid['id']}")[0] == 200


@kit.test("two requests in one are two requests")
def _():
    address = urllib.parse.urlsplit(florin["api"])
    for head in ["Content-Length: 5\r\nTransfer-Encoding: chunked", "Content-Length: 5\r\nContent-Length: 6", "Transfer-Encoding: identity, chunked, x", "Content-Length: +5"]:
        with socket.create_connection((address.hostname, address.port), timeout=10) as one:
            one.sendall(f"POST /v1/orders HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n0\r\n\r\nGET /v1/keys HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            one.shutdown(socket.SHUT_WR)
            said = b""
            while piece := one.recv(65_536):
                said += piece
            assert b" 200 " not in said, (head, said[:200])


@kit.test("an order is described again and again, but not without end")
def _():
    address = made("/v1/orders", order())["id"]
    assert address
    session = call("POST", "/v1/payment_intents", "amount=500&currency=eur", base="stripe", headers={"Content-Type": "application/x-www-form-urlencoded"})[1]
    last = None
    for at in range(300):
        last = call("POST", f"/v1/payment_intents/{session['id']}", f"metadata[a]={at}", base="stripe",
                    headers={"Content-Type": "application/x-www-form-urlencoded"})
        if last[0] != 200:
            break
    assert 400 <= last[0] < 500 and at > 100, (at, last)


@kit.test("administration and refused keys are in the log, and no key is")
def _():
    def logged():
        text = pathlib.Path(florin.log).read_text()
        return text if "a key that opens nothing" in text and "settings" in text and "administration" in text else None

    text = until("the lines of the audit trail", logged)
    assert florin["key"] not in text and florin["admin_key"] not in text and CARD not in text


@kit.test("with several merchants nobody names a secret that is not theirs, and is told who can help")
def _():
    config = pathlib.Path(kit.work) / "guard.toml"
    config.write_text('[secrets]\nstripe_key = "sk_test_of_nobody"\n')
    server = Florin(kit, needs=["api"], args=["--config", str(config)], command="serve")
    try:
        admin = (pathlib.Path(server.data) / "admin.key").read_text().strip()

        def asked(path, body, key):
            request = urllib.request.Request(server["api"] + path, json.dumps(body).encode(), {
                "Authorization": f"Bearer {key}", "Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())})
            try:
                return json.load(urllib.request.urlopen(request))
            except urllib.error.HTTPError as refusal:
                return json.load(refusal)

        connection = {"rail": "stripe", "secrets": {"api_key": "stripe_key"}}
        first = asked("/v1/merchants", {"name": "First"}, admin)["key"]
        assert asked("/v1/connections", connection, first)["id"].startswith("con_"), "alone, all secrets are theirs"
        second = asked("/v1/merchants", {"name": "Second"}, admin)
        said = asked("/v1/connections", connection, second["key"])
        assert (said["status"], said["code"], said["param"]) == (403, "forbidden", "secrets"), said
        assert f"[secrets.{second['id']}.test]" in said["detail"] and "ask who runs this server" in said["fix"], said
    finally:
        server.process.kill()
        server.process.wait()
        server.forget()


florin.stop()


@kit.test("no file of the program holds a card number")
def _():
    for path in pathlib.Path(florin.data).rglob("*"):
        if path.is_file():
            assert CARD.encode() not in path.read_bytes(), path


florin.forget()
assert os.path.exists(florin.log)
kit.done()
