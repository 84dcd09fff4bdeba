"""Every call of the API refused in every usual way: each answer is a problem that names what is wrong and says what to do."""

import json
import pathlib
import re
import sys
import urllib.error
import urllib.request
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from kit import Florin, Kit  # noqa: E402

MEMBERS = {"type", "title", "status", "detail", "code", "fix", "request_id"}
TOO_MUCH = 1 << 20

kit = Kit("refusals")
florin = Florin(kit, needs=("api", "openapi", "key", "admin_key"))
document = json.load(urllib.request.urlopen(florin["openapi"]))
calls = [(path, method.upper(), operation) for path, methods in document["paths"].items() for method, operation in methods.items()]


class Answer:
    """What came back: status, headers, and the body as JSON."""

    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.body = json.loads(response.read() or "null")


def send(method, path, body=None, key=None, kind="application/json", idempotency=True):
    """One call. The admin's key where a call is the installation's."""
    key = key or (florin["admin_key"] if path.startswith("/v1/merchants") else florin["key"])
    headers = {"Authorization": f"Bearer {key}"} | ({"Idempotency-Key": str(uuid.uuid4())} if idempotency else {})
    if body is not None:
        headers["Content-Type"] = kind
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    try:
        return Answer(urllib.request.urlopen(urllib.request.Request(florin["api"] + path, data, headers, method=method)))
    except urllib.error.HTTPError as refusal:
        return Answer(refusal)


def problem(answer, status, code=None, param=None, words=""):
    """The problem that an answer must be."""
    assert answer.status == status, (answer.status, answer.body)
    assert answer.headers["content-type"] == "application/problem+json", answer.headers
    assert answer.headers["florin-version"] and answer.headers["x-request-id"] == answer.body["request_id"]
    assert MEMBERS <= answer.body.keys() and all(answer.body[name] for name in MEMBERS), answer.body
    assert answer.body["status"] == status and answer.body["type"] == f"/problems/{answer.body['code']}"
    assert code in (None, answer.body["code"]), answer.body
    assert param in (None, answer.body.get("param")), answer.body
    assert words in answer.body["detail"], answer.body
    return answer.body


def filled(path, name="nothing"):
    """An address with something in its holes."""
    return re.sub(r"\{[^}]+\}", name, path)


def every(method=None):
    """The calls, or those of one method."""
    assert len(calls) > 40, len(calls)
    return [call for call in calls if method in (None, call[1])]


@kit.test("without a key, and with a wrong one, nothing opens")
def _():
    for path, method, _operation in every():
        body = {} if method == "POST" else None
        problem(send(method, filled(path), body, key="sk_test_0"), 401, "unauthorized")


@kit.test("no answer of a call may be kept on the way")
def _():
    for path, method, _operation in every():
        for key in (None, "sk_test_0"):
            answer = send(method, filled(path), {} if method == "POST" else None, key=key)
            assert answer.headers["cache-control"] == "no-store", (method, path, answer.status, answer.headers)


@kit.test("an id that names nothing is not found, whatever it looks like")
def _():
    for path, method, _operation in every():
        if "{" in path:
            for name in ("nothing", "ord_00000000000000000000000000", "%F0%9F%AB%96", "..%2F..%2Fetc"):
                answer = send(method, filled(path, name), {} if method == "POST" else None)
                assert answer.status in (400, 404, 422), (method, path, name, answer.status)
                problem(answer, answer.status)


@kit.test("an unknown parameter is refused by its name")
def _():
    for path, _method, operation in every("GET"):
        if "{" not in path:
            problem(send("GET", f"{path}?colour=red"), 400, "unknown_member", "colour", "colour")


@kit.test("an unknown member is refused by its name")
def _():
    for path, _method, operation in every("POST"):
        if "{" not in path and "requestBody" in operation:
            problem(send("POST", path, {"colour": "red"}), 400, param="colour", words="colour")


@kit.test("a page has its limits, and the message names them")
def _():
    for path, _method, operation in every("GET"):
        names = [one["name"] for one in operation.get("parameters", [])]
        if "limit" in names and "{" not in path:
            for limit in ("0", "101", "-1", "many", "1.5"):
                problem(send("GET", f"{path}?limit={limit}"), 422, "invalid_value", "limit", "1 to 100")


@kit.test("a body that is no JSON, no object, no JSON by its name or too large is refused")
def _():
    for path, _method, operation in every("POST"):
        if "{" in path or "requestBody" not in operation:
            continue
        for body in (b"{", b"[]", b"\xff", b"1"):
            problem(send("POST", path, body), 400, "invalid_request")
        problem(send("POST", path, b"a=b", kind="application/x-www-form-urlencoded"), 415, "unsupported_media_type")
        problem(send("POST", path, b'{"a":"' + b"x" * TOO_MUCH + b'"}'), 413, "body_too_large")


@kit.test("a method that a call does not have is refused with those that it has")
def _():
    for path in {path for path, _method, _operation in calls}:
        answer = send("PATCH", filled(path), {})
        problem(answer, 405, "method_not_allowed")
        allowed = {word.strip() for word in (answer.headers["allow"] or "").split(",")}
        assert {method for known, method, _operation in calls if known == path} <= allowed, (path, allowed)


@kit.test("money does not move without an idempotency key")
def _():
    order = send("POST", "/v1/orders", {"amount": 500, "currency": "EUR", "reference": "keyless", "confirm": True, "method": "card_visa"}).body
    problem(send("POST", "/v1/orders", {"amount": 5, "currency": "EUR", "reference": "k"}, idempotency=False), 400, "missing_key")
    for verb in ("confirm", "capture", "void", "cancel", "refunds"):
        problem(send("POST", f"/v1/orders/{order['id']}/{verb}", {}, idempotency=False), 400, "missing_key")


@kit.test("an idempotency key is any text, and a control character or more than 255 of any are refused")
def _():
    def order(key):
        asked = urllib.request.Request(
            florin["api"] + "/v1/orders", json.dumps({"amount": 500, "currency": "EUR", "reference": f"by {len(key)} {key[:9]}"}).encode(),
            {"Authorization": f"Bearer {florin['key']}", "Content-Type": "application/json", "Idempotency-Key": key})
        try:
            return Answer(urllib.request.urlopen(asked))
        except urllib.error.HTTPError as refusal:
            return Answer(refusal)
    for key in ("order 17, second try", '"quoted"', "k" * 255):
        first, again = order(key), order(key)
        assert (first.status, again.status) == (201, 201) and again.headers["idempotent-replayed"] == "true", (key, again.body)
        assert first.body["id"] == again.body["id"], key
    for key, words in (("a\tb", "control character"), ("k" * 256, "255")):
        problem(order(key), 422, "invalid_value", "Idempotency-Key", words)


@kit.test("who may not do something is told who can")
def _():
    merchant = send("POST", "/v1/merchants", {"name": "Somebody else"}).body
    said = problem(send("POST", "/v1/keys", {"merchant": merchant["id"]}, key=florin["key"]), 403, "forbidden")
    assert "admin key" in said["fix"], said
    said = problem(send("POST", "/v1/merchants", {"name": "Mallory"}, key=florin["key"]), 401, "unauthorized")
    assert "admin key" in said["fix"], said
    order = send("POST", "/v1/orders", {"amount": 500, "currency": "EUR", "reference": "nobody hears", "confirm": True, "method": "card_visa"}).body
    event = send("GET", f"/v1/orders/{order['id']}/events?limit=1").body["data"][0]["id"]
    said = problem(send("POST", f"/v1/events/{event}/resend", {"endpoint": "whe_00000000000000000000000000"}), 404, "not_found", "endpoint")
    assert "endpoint" in said["fix"], said


@kit.test("values that cannot be are refused by their names, with what can be")
def _():
    good = {"amount": 500, "currency": "EUR", "reference": "values"}
    for member, value, words in (
        ("amount", 0, "amount"), ("amount", -1, "amount"), ("amount", 10**15, "amount"), ("amount", 1.5, "amount"), ("amount", "5", "amount"),
        ("currency", "eur", "EUR"), ("currency", "ZZZ", "ZZZ"), ("reference", "", "reference"), ("reference", "x" * 129, "reference"),
        ("capture", "soon", "at_once"), ("return_url", "javascript:alert(1)", "http"), ("expires_in_s", 0, "expires_in_s"),
        ("metadata", {"k" * 41: "v"}, "metadata"), ("metadata", {str(at): "v" for at in range(51)}, "metadata"),
        ("lines", [{"name": "a", "quantity": 0, "unit_amount": 5}], "quantity"), ("customer", "cus_nothing", "cus"),
    ):
        answer = send("POST", "/v1/orders", good | {member: value})
        assert answer.status in (400, 404, 422), (member, value, answer.status, answer.body)
        said = problem(answer, answer.status)
        assert words in said["detail"] or words in (said.get("param") or ""), (member, value, said)
        assert (said.get("param") or "").startswith(member), (member, said)


@kit.test("a person's word about a step is taken where one is needed, from who may give it")
def _():
    def said_of(attempt, body, key=None):
        return send("POST", f"/v1/attempts/{attempt}/resolve", body, key=key)

    order = send("POST", "/v1/orders", {"amount": 1500, "currency": "EUR", "reference": "by hand", "confirm": True, "method": "card_visa"}).body
    assert order["payment_order_status"] == "captured", order
    attempt = order["last_attempt"]["id"]
    for word in ("approved", "declined", "undone"):
        problem(said_of(attempt, {"as": word, "note": "console"}), 409, "attempt_over")
    problem(said_of(attempt, {"as": "undone", "amount": -1, "note": "console"}), 422, "invalid_value", "amount")
    problem(said_of(attempt, {"as": "undone", "amount": 1, "note": ""}), 422, "invalid_value", "note")
    problem(said_of(attempt, {"as": "gone", "note": "console"}), 422, param="as", words="`approved` or `declined` or `undone`")
    problem(said_of(attempt, {"as": "undone", "amount": 1, "step": "lunch", "note": "console"}), 422, "invalid_value", "step")
    problem(said_of("att_0000000000000000000000000001", {"as": "undone", "amount": 1, "note": "console"}), 404, "not_found")
    merchant = send("POST", "/v1/merchants", {"name": "Somebody else"}).body
    other = send("POST", "/v1/keys", {"merchant": merchant["id"], "label": "other"}, key=florin["admin_key"]).body["secret"]
    problem(said_of(attempt, {"as": "undone", "amount": 1, "note": "console"}, key=other), 404, "not_found")
    less = send("POST", "/v1/keys", {"label": "reads", "scopes": ["read"]}).body["secret"]
    problem(said_of(attempt, {"as": "undone", "amount": 1, "note": "console"}, key=less), 403, "forbidden")


@kit.test("every code that is answered has a page, for programs and for people")
def _():
    for code in ("too_much", "key_reused", "unauthorized"):
        page = urllib.request.urlopen(f"{florin['api']}/problems/{code}").read().decode()
        assert code in page and "What to do now" in page
    asked = urllib.request.Request(f"{florin['api']}/nothing", headers={"Accept": "text/html,*/*"})
    try:
        urllib.request.urlopen(asked)
        raise AssertionError("it was there")
    except urllib.error.HTTPError as refusal:
        assert refusal.status == 404 and refusal.headers["content-type"].startswith("text/html")
    problem(send("GET", "/nothing"), 404, "not_found")


@kit.test("an order's own lists are paged as all others are")
def _():
    order = send("POST", "/v1/orders", {"amount": 500, "currency": "EUR", "reference": "paged", "confirm": True, "method": "card_visa"}).body
    for name in ("events", "attempts", "ledger_entries"):
        everything = send("GET", f"/v1/orders/{order['id']}/{name}?limit=100").body["data"]
        assert everything == sorted(everything, key=lambda one: one["created_at"], reverse=True), name
        walked, after = [], ""
        while True:
            page = send("GET", f"/v1/orders/{order['id']}/{name}?limit=1{after}").body
            walked += page["data"]
            if not page["has_more"]:
                break
            after = f"&after={page['data'][-1]['id']}"
        assert [one["id"] for one in walked] == [one["id"] for one in everything], name
        problem(send("GET", f"/v1/orders/{order['id']}/{name}?after=nothing"), 404, param="after")


florin.stop()
florin.forget()
kit.done()
