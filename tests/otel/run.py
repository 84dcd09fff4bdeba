"""A collector that keeps what it is sent, and a program built with the feature `otel`: a payment leaves traces, and no key in them."""

import http.server
import json
import os
import pathlib
import sys
import threading
import urllib.request
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from kit import Florin, Kit  # noqa: E402

kit = Kit("otel")
sent = []


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        sent.append((self.path, self.headers.get("content-type"), self.rfile.read(int(self.headers.get("content-length") or 0))))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=collector.serve_forever, daemon=True).start()
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{collector.server_port}"
florin = Florin(kit, needs=["api", "key"])


@kit.test("a payment is made while somebody collects traces")
def _():
    body = {"amount": 1099, "currency": "EUR", "reference": str(uuid.uuid4()), "confirm": True, "method": "card_visa"}
    headers = {"Authorization": f"Bearer {florin['key']}", "Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
    request = urllib.request.Request(f"{florin['api']}/v1/orders", json.dumps(body).encode(), headers)
    assert urllib.request.urlopen(request, timeout=30).status == 201


florin.stop()


@kit.test("its request and its exchanges with the provider are traced, and no key is")
def _():
    assert sent, "nothing was sent"
    assert {(path, kind) for path, kind, _ in sent} == {("/v1/traces", "application/x-protobuf")}
    everything = b"".join(body for _, _, body in sent)
    for word in [b"florin", b"request", b"exchange", b"/v1/orders"]:
        assert word in everything, word
    assert florin["key"].encode() not in everything and b"sk_test" not in everything


florin.forget()
kit.done()
