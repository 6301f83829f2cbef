#!/usr/bin/env python3
"""How many requests a second get through: one at a time and many, by process, TCP and Unix socket.

    python3 clients/python/bench_strata.py

Operators are a product of 100 shapes, models a step of decoding at 100 batch sizes, and figures the same with two figures asked for
in place of the whole answer. All are known to the oracle before they are timed, so that it is the way there that is measured.
"""

import json
import os
import subprocess
import tempfile
import time

import strata

CHIP = "a100-sxm-80gb"
MANY, ONE = 20_000, 2_000


def requests(kind, n):
    for i in range(n):
        if kind == "operator":
            yield {"op": {"kind": "gemm", "m": 128, "n": 64 + 8 * (i % 100), "k": 512}}
        else:
            chosen = {"metrics": ["seconds", "joules"]} if kind == "figures" else {}
            yield {"model": "llama2-7b", "phase": "decode", "batch": 1 + i % 100, "past_len": 512, **chosen}


def bench(name, oracle):
    with oracle:
        for kind, share in (("operator", 1), ("model", 4), ("figures", 1)):
            many, one = list(requests(kind, MANY // share)), list(requests(kind, ONE // share))
            assert all(a.ok for a in oracle.estimates(many[:100]))
            began = time.perf_counter()
            oracle.estimates(many)
            batched = time.perf_counter() - began
            times = []
            for r in one:
                began = time.perf_counter()
                oracle.estimate(r)
                times.append(time.perf_counter() - began)
            times.sort()
            print(f"{name:12} {kind:9} {len(many) / batched:9,.0f}/s in one call  {len(one) / sum(times):7,.0f}/s one by one  "
                  f"p50 {1e6 * times[len(times) // 2]:4.0f} us  p99 {1e6 * times[len(times) * 99 // 100]:5.0f} us", flush=True)


def main():
    bench("process", strata.Oracle(arch=CHIP))
    with tempfile.TemporaryDirectory() as folder:
        for name, listen in (("TCP", "127.0.0.1:0"), ("Unix socket", "unix:" + os.path.join(folder, "s"))):
            with subprocess.Popen([strata.find_binary(), "oracle", "serve", "--listen", listen], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
                where = json.loads(server.stdout.readline())
                try:
                    bench(name, strata.Oracle(url=listen if name == "Unix socket" else where["url"], arch=CHIP))
                finally:
                    server.terminate()


if __name__ == "__main__":
    main()
