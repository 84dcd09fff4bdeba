#!/usr/bin/env python3
"""Starts `florin serve` under another tool, with the stand-in provider and the load generator that `florin bench` uses.

Instructions of a sale: the difference of two counts, so that the start is left out (valgrind knows no SHA extensions: leave sha256 out).
  around.py --sales 200  --under 'valgrind --tool=callgrind --callgrind-out-file=a.out'
  around.py --sales 1200 --under 'valgrind --tool=callgrind --callgrind-out-file=b.out'; grep summary a.out b.out
Latency at a fixed rate:
  around.py --rate 2500 --seconds 5 --connections 256 --merchants 1000
Write-ahead log: between two `select pg_current_wal_lsn()`, then pg_waldump from one to the other:
  around.py --sales 5000 --connections 64 --database postgres://…
"""

import argparse, json, shlex, signal, subprocess, tempfile, time

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("--program", default="target/release/florin")
options.add_argument("--under", default="", help="a command to put in front of `florin serve`")
options.add_argument("--database", help="PostgreSQL; SQLite without")
options.add_argument("--merchants", type=int, default=20)
options.add_argument("--connections", type=int, default=32)
options.add_argument("--sales", type=int, help="so many, as fast as they are answered")
options.add_argument("--rate", type=int, help="so many a second")
options.add_argument("--seconds", type=int, default=5)
options.add_argument("--rest", type=float, default=3, help="seconds for what is done behind the commit")
asked = options.parse_args()


def role(name, settings):
    process = subprocess.Popen(["chrt", "--batch", "0", asked.program, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(json.dumps(settings).encode() + b"\n")
    process.stdin.flush()
    return process


timed = {"timed": {"warm_up_ms": 1000, "measured_ms": asked.seconds * 1000}}
provider = role("bench-psp", {"port": 0, "delay_ms": 0})
with tempfile.TemporaryDirectory(dir="/var/tmp") as data:
    try:
        address = json.loads(provider.stdout.readline())["base_url"]
        command = shlex.split(asked.under) + [asked.program, "serve", "--json", "--port", "0", "--data", data]
        command += ["--bench-provider", address, "--bench-merchants", str(asked.merchants)]
        command += ["--database", asked.database] if asked.database else []
        server = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            ready = json.loads(server.stdout.readline())
            load = role("bench-load", {
                "base_url": ready["api"], "keys": ready["keys"], "kind": "sale", "connections": asked.connections,
                "pace": {"per_second": asked.rate} if asked.rate else "closed",
                "length": {"requests": asked.sales} if asked.sales else timed,
                "run": f"around{int(time.time())}", "journal": None,
            })
            for line in load.stdout:
                said = json.loads(line)
                if "outcome" in said:
                    print(json.dumps(said["outcome"]))
            time.sleep(asked.rest)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
    finally:
        provider.kill()
