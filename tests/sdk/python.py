"""stripe-python, unmodified, through a whole checkout flow against our Stripe-compatible door, state checked at each step."""

import html
import pathlib
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import stripe  # noqa: E402
from kit import Florin, Kit, Receiver, until  # noqa: E402

VERSION = "2026-10-28.endive"

kit = Kit("sdk-python")
florin = Florin(kit, needs=["stripe", "key"])
shop = Receiver()


def connect(key):
    """A client as the SDK's manual makes it, with our address for Stripe's."""
    return stripe.StripeClient(key, base_addresses={"api": florin["stripe"].rstrip("/")}, max_network_retries=0)


client = connect(florin["key"])
api = client.v1
made = {}


def refused(error, call, **fields):
    """The error that a call must end in, with these fields."""
    try:
        answer = call()
    except error as refusal:
        for name, value in fields.items():
            got = getattr(refusal, name, None) if hasattr(refusal, name) else getattr(refusal.error, name, None)
            assert got == value, f"{name} is {got!r}, not {value!r}: {refusal}"
        assert refusal.request_id, "the error names its request"
        return refusal
    raise AssertionError(f"expected a refusal and got {answer}")


def pay(amount, method, **more):
    """An intent that is confirmed in the same call."""
    params = {"amount": amount, "currency": "eur", "confirm": True, "payment_method": method, "payment_method_types": ["card"]}
    return api.payment_intents.create({**params, **more})


def press(url, button):
    """Opens a page without scripts, presses a button and follows the way until it ends; gives the last address."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    page = opener.open(url)
    text = page.read().decode()
    for form in re.finditer(r"<form\b([^>]*)>(.*?)</form>", text, re.S | re.I):
        hit = next((one for one in re.finditer(r"<button\b([^>]*)>(.*?)</button>", form[2], re.S | re.I) if re.search(button, one[2], re.I)), None)
        if hit:
            break
    else:
        raise AssertionError(f"{url} has no button like {button}:\n{text[:2000]}")

    def attribute(tag, name):
        found = re.search(rf"""\s{name}\s*=\s*"([^"]*)\"""", " " + tag)
        return html.unescape(found[1]) if found else None

    fields = {attribute(tag, "name"): attribute(tag, "value") or "" for tag in re.findall(r"<input\b([^>]*)>", form[2])}
    fields[attribute(hit[1], "name")] = attribute(hit[1], "value") or ""
    fields.pop(None, None)
    action = urllib.parse.urljoin(page.url, attribute(hit[1], "formaction") or attribute(form[1], "action") or "")
    origin = "{0.scheme}://{0.netloc}".format(urllib.parse.urlparse(page.url))
    request = urllib.request.Request(action, urllib.parse.urlencode(fields).encode(), {"origin": origin})
    page = opener.open(request)
    # Forms stay on their own origin; the page that follows leads on, as browsers do without being asked.
    while onward := re.search(r"""<meta http-equiv="refresh" content="0; url=([^"]*)\"""", page.read().decode()):
        page = opener.open(html.unescape(onward[1]))
    return page.url


def checkout():
    """What a shop sends for its cart."""
    return {
        "mode": "payment",
        "customer": made["customer"].id,
        "client_reference_id": "cart-17",
        "success_url": shop.url + "/thanks?session={CHECKOUT_SESSION_ID}",
        "cancel_url": shop.url + "/cart",
        "line_items": [
            {"price": made["price"].id, "quantity": 2},
            {"price_data": {"currency": "eur", "unit_amount": 99, "product_data": {"name": "Wrapping"}}, "quantity": 1},
        ],
        "payment_intent_data": {"metadata": {"cart": "17"}},
    }


def when(what, read, holds):
    """Reads again until it holds, and gives what was read."""
    last = []

    def look():
        last[:] = [read()]
        return holds(last[0])

    until(what, look)
    return last[0]


@kit.test("a webhook endpoint is registered and its secret shown")
def _():
    made["endpoint"] = api.webhook_endpoints.create({"url": shop.url + "/hook", "enabled_events": ["*"]})
    assert made["endpoint"].secret.startswith("whsec_")


@kit.test("every answer names its request and our version")
def _():
    answer = api.webhook_endpoints.retrieve(made["endpoint"].id)
    assert answer.last_response.headers["Stripe-Version"] == VERSION
    assert answer.last_response.request_id.startswith("req_")


@kit.test("a product is made, renamed and read")
def _():
    made["product"] = api.products.create({"name": "Teapot", "metadata": {"sku": "T-1"}})
    api.products.update(made["product"].id, {"name": "Big teapot"})
    again = api.products.retrieve(made["product"].id)
    assert (again.name, again.active, again.metadata["sku"]) == ("Big teapot", True, "T-1")


@kit.test("a price of it is made, read and listed")
def _():
    made["price"] = api.prices.create({"product": made["product"].id, "unit_amount": 1500, "currency": "eur"})
    assert (made["price"].type, made["price"].unit_amount) == ("one_time", 1500)
    assert api.prices.retrieve(made["price"].id).product == made["product"].id
    assert [one.id for one in api.prices.list({"product": made["product"].id}).data] == [made["price"].id]


@kit.test("a customer is made, changed and read")
def _():
    made["customer"] = api.customers.create({"email": "jenny@example.com", "name": "Jenny"})
    api.customers.update(made["customer"].id, {"name": "Jenny Rosen"})
    assert api.customers.retrieve(made["customer"].id).name == "Jenny Rosen"


@kit.test("a checkout session is made over a price and an ad-hoc price")
def _():
    made["session"] = session = api.checkout.sessions.create(checkout(), {"idempotency_key": "cart-17"})
    assert (session.status, session.payment_status, session.amount_total) == ("open", "unpaid", 3099)
    assert session.url.startswith("http")


@kit.test("the same key gives the same session and says so")
def _():
    again = api.checkout.sessions.create(checkout(), {"idempotency_key": "cart-17"})
    assert again.id == made["session"].id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"


@kit.test("the same key with another body is refused")
def _():
    other = {**checkout(), "client_reference_id": "cart-18"}
    refused(stripe.IdempotencyError, lambda: api.checkout.sessions.create(other, {"idempotency_key": "cart-17"}), http_status=400)


@kit.test("its lines are listed")
def _():
    lines = api.checkout.sessions.line_items.list(made["session"].id).data
    assert [(line.quantity, line.amount_total) for line in lines] == [(2, 3000), (1, 99)]


@kit.test("a payer who presses Pay pays it once")
def _():
    session = made["session"].id
    client.raw_request("get", f"/v1/payment_pages/{session}")
    method = api.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    client.raw_request("post", f"/v1/payment_pages/{session}/confirm", payment_method=method.id, expected_amount=3099)
    read = lambda: api.checkout.sessions.retrieve(session, {"expand": ["payment_intent"]})  # noqa: E731
    paid = when("the session to be paid", read, lambda now: now.status == "complete")
    assert (paid.payment_status, paid.payment_intent.status, paid.payment_intent.amount_received) == ("paid", "succeeded", 3099)
    assert paid.payment_intent.metadata["cart"] == "17"


@kit.test("a session that was paid cannot be expired, one that nobody paid can")
def _():
    refused(stripe.InvalidRequestError, lambda: api.checkout.sessions.expire(made["session"].id), http_status=400)
    expired = api.checkout.sessions.expire(api.checkout.sessions.create(checkout()).id)
    assert (expired.status, expired.url) == ("expired", None)


@kit.test("an intent is made and changed before it is paid")
def _():
    params = {"amount": 2000, "currency": "eur", "capture_method": "manual", "payment_method_types": ["card"]}
    intent = api.payment_intents.create({**params, "customer": made["customer"].id})
    assert intent.status == "requires_payment_method"
    made["intent"] = api.payment_intents.update(intent.id, {"amount": 2500, "metadata": {"order": "A-17"}})
    assert (made["intent"].amount, made["intent"].metadata["order"]) == (2500, "A-17")


@kit.test("confirmed with manual capture, it holds the money")
def _():
    held = api.payment_intents.confirm(made["intent"].id, {"payment_method": "pm_card_visa"})
    assert (held.status, held.amount_capturable, held.amount_received) == ("requires_capture", 2500, 0)


@kit.test("a part is captured and the rest released")
def _():
    made["intent"] = intent = api.payment_intents.capture(made["intent"].id, {"amount_to_capture": 1999})
    assert (intent.status, intent.amount_received, intent.amount_capturable) == ("succeeded", 1999, 0)


@kit.test("its charge and balance transaction say what was captured")
def _():
    made["charge"] = charge = api.charges.retrieve(made["intent"].latest_charge, {"expand": ["balance_transaction"]})
    assert (charge.status, charge.captured, charge.amount_captured, charge.amount_refunded) == ("succeeded", True, 1999, 0)
    line = api.balance_transactions.retrieve(charge.balance_transaction.id)
    assert (line.type, line.amount, line.net) == ("charge", 1999, 1999 - line.fee)


@kit.test("a part is refunded")
def _():
    refund = api.refunds.create({"payment_intent": made["intent"].id, "amount": 500})
    refund = when("the refund to succeed", lambda: api.refunds.retrieve(refund.id), lambda now: now.status == "succeeded")
    assert (refund.amount, refund.payment_intent) == (500, made["intent"].id)
    assert api.charges.retrieve(made["charge"].id).amount_refunded == 500


@kit.test("more than is left is not refunded")
def _():
    params = {"payment_intent": made["intent"].id, "amount": 1500}
    refused(stripe.InvalidRequestError, lambda: api.refunds.create(params), http_status=400, param="amount")


@kit.test("a refund without amount gives back the rest, and then nothing is left")
def _():
    assert api.refunds.create({"charge": made["charge"].id}).amount == 1499
    charge = when("the charge to be refunded", lambda: api.charges.retrieve(made["charge"].id), lambda now: now.refunded)
    assert charge.amount_refunded == 1999
    refused(stripe.InvalidRequestError, lambda: api.refunds.create({"charge": charge.id}), code="charge_already_refunded")
    assert [one.amount for one in api.refunds.list({"charge": charge.id}).data] == [1499, 500]


@kit.test("a refused card says why, and nothing was taken")
def _():
    call = lambda: pay(1000, "pm_card_visa_chargeDeclinedInsufficientFunds")  # noqa: E731
    error = refused(stripe.CardError, call, http_status=402, code="card_declined", decline_code="insufficient_funds")
    made["declined"] = error.error.payment_intent
    assert (made["declined"].status, made["declined"].amount_received) == ("requires_payment_method", 0)


@kit.test("the same intent is paid with another card")
def _():
    paid = api.payment_intents.confirm(made["declined"].id, {"payment_method": "pm_card_mastercard"})
    assert (paid.status, paid.amount_received) == ("succeeded", 1000)


@kit.test("a generic decline is told from missing funds")
def _():
    refused(stripe.CardError, lambda: pay(1000, "pm_card_visa_chargeDeclined"), decline_code="generic_decline")


@kit.test("a payer who is challenged is sent to the challenge, passes it, and has paid")
def _():
    challenged = pay(3000, "pm_card_threeDSecure2Required", return_url=shop.url + "/back")
    assert (challenged.status, challenged.next_action.type) == ("requires_action", "redirect_to_url")
    home = press(challenged.next_action.redirect_to_url.url, "complete|approve|pass")
    assert home.startswith(shop.url + "/back"), home
    read = lambda: api.payment_intents.retrieve(challenged.id)  # noqa: E731
    made["challenged"] = when("the intent to succeed", read, lambda now: now.status == "succeeded")
    assert made["challenged"].amount_received == 3000


@kit.test("a hold that is cancelled is gone, and cannot be captured")
def _():
    hold = pay(700, "pm_card_visa", capture_method="manual")
    canceled = api.payment_intents.cancel(hold.id, {"cancellation_reason": "abandoned"})
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    refused(stripe.InvalidRequestError, lambda: api.payment_intents.capture(hold.id), code="payment_intent_unexpected_state")


@kit.test("a method is attached to a customer, listed, used and detached")
def _():
    customer = made["customer"].id
    method = api.payment_methods.attach("pm_card_visa", {"customer": customer})
    assert [one.id for one in api.customers.payment_methods.list(customer).data] == [method.id]
    assert pay(400, method.id, customer=customer).status == "succeeded"
    assert api.payment_methods.detach(method.id).customer is None
    assert api.customers.payment_methods.list(customer).data == []


@kit.test("currencies without decimals and with three keep their amounts")
def _():
    for amount, currency in [(500, "jpy"), (1230, "kwd")]:
        paid = pay(amount, "pm_card_visa", currency=currency)
        assert (paid.status, paid.amount_received, paid.currency) == ("succeeded", amount, currency)


@kit.test("what the bank does later is told: a dispute, and a refund that comes back")
def _():
    disputed, returned = pay(800, "pm_card_createDispute"), pay(700, "pm_card_refundFail")
    refund = api.refunds.create({"payment_intent": returned.id, "amount": 300})
    refund = when("the refund to come back", lambda: api.refunds.retrieve(refund.id), lambda now: now.status == "failed")
    assert refund.failure_balance_transaction and api.charges.retrieve(returned.latest_charge).amount_refunded == 0
    disputes = when("the dispute", lambda: api.disputes.list({"payment_intent": disputed.id}).data, len)
    assert [(one.status, one.amount, one.charge) for one in disputes] == [("needs_response", 800, disputed.latest_charge)]
    assert api.charges.retrieve(disputed.latest_charge).disputed
    # Evidence goes to the provider, which is somebody else here.
    refused(stripe.InvalidRequestError, lambda: api.disputes.close(disputes[0].id), http_status=400)


@kit.test("an unknown parameter is refused by its name, a missing one asked for")
def _():
    odd = {"amount": 1, "currency": "eur", "colour": "red"}
    refused(stripe.InvalidRequestError, lambda: api.payment_intents.create(odd), code="parameter_unknown", param="colour")
    few = {"currency": "eur"}
    refused(stripe.InvalidRequestError, lambda: api.payment_intents.create(few), code="parameter_missing", param="amount")


@kit.test("what does not exist is not found, and a wrong key opens nothing")
def _():
    refused(stripe.InvalidRequestError, lambda: api.payment_intents.retrieve("pi_nothing"), http_status=404, code="resource_missing")
    refused(stripe.AuthenticationError, lambda: connect("sk_test_wrong").v1.customers.list(), http_status=401)


@kit.test("lists page forwards and backwards without gaps")
def _():
    for name in "abcd":
        api.customers.create({"name": name})
    first = api.customers.list({"limit": 2})
    assert ([one.name for one in first.data], first.has_more) == (["d", "c"], True)
    second = api.customers.list({"limit": 2, "starting_after": first.data[1].id})
    assert [one.name for one in second.data] == ["b", "a"]
    back = api.customers.list({"limit": 2, "ending_before": second.data[0].id})
    assert [one.name for one in back.data] == ["d", "c"]
    assert len(list(api.customers.list({"limit": 2}).auto_paging_iter())) == 5


@kit.test("an event is kept for each thing that happened")
def _():
    events = api.events.list({"type": "payment_intent.succeeded", "limit": 100}).data
    event = next(one for one in events if one.data.object["id"] == made["challenged"].id)
    assert api.events.retrieve(event.id).data.object["id"] == made["challenged"].id


@kit.test("construct_event accepts every webhook we sent, and no other")
def _():
    expected = {"checkout.session.completed", "payment_intent.succeeded", "payment_intent.payment_failed", "charge.refunded"}
    expected |= {"charge.dispute.created", "charge.dispute.funds_withdrawn", "refund.failed", "charge.refund.updated"}
    secret = made["endpoint"].secret

    def told():
        hooks = [(headers, body) for path, headers, body in shop.hits if path == "/hook"]
        return {client.construct_event(body, headers["stripe-signature"], secret).type for headers, body in hooks}

    until("all kinds of events", lambda: expected <= told(), 20)
    _, headers, body = next(hit for hit in shop.hits if hit[0] == "/hook")
    for text, key in [(body.replace('"', '" ', 1), secret), (body, "whsec_another")]:
        try:
            client.construct_event(text, headers["stripe-signature"], key)
        except stripe.SignatureVerificationError:
            continue
        raise AssertionError("a forged webhook was accepted")
    sent = int(re.search(r"t=(\d+)", headers["stripe-signature"])[1])
    assert abs(time.time() - sent) < 120


@kit.test("an endpoint is changed, listed and removed")
def _():
    changed = api.webhook_endpoints.update(made["endpoint"].id, {"enabled_events": ["charge.refunded"]})
    assert changed.enabled_events == ["charge.refunded"]
    assert len(api.webhook_endpoints.list().data) == 1
    assert api.webhook_endpoints.delete(made["endpoint"].id).deleted is True
    assert api.webhook_endpoints.list().data == []


@kit.test("a customer is deleted and stays named as such")
def _():
    assert api.customers.delete(made["customer"].id).deleted is True
    assert api.customers.retrieve(made["customer"].id).deleted is True


florin.stop()
florin.forget()
kit.done()
