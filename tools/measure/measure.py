#!/usr/bin/env python3
"""Measure kernels of a GPU and write them as CSV for `strata calibrate`.

Needs Python 3.8 and PyTorch; --dry-run needs neither GPU nor PyTorch. One row is one kernel, or one operator of PyTorch that
runs several. Times are medians by the timer of the device: each shape is captured as a CUDA graph and replayed where that is
possible, and timed by events around the replay. Rows are appended as they are measured, so that an interrupted run goes on
where it stopped when it is started again with the same --out.

Idle and loaded power and the clocks under load come from nvidia-smi and are written to a JSON file beside the CSV.
"""

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

COLUMNS = [
    "id", "source", "device", "op", "op_class", "shape", "M", "N", "K", "batch", "q_len", "kv_len", "n_heads", "n_kv_heads",
    "head_dim", "tokens", "width", "num_devices", "devices_per_node", "tp", "dtype", "w_dtype", "model", "framework", "kernel",
    "measured_us", "min_us", "std_us", "flops", "bytes", "flag", "source_file",
]

WIDTH = {"bf16": 2, "fp16": 2, "fp8": 1}


def gemm(m, n, k, dtype):
    """A product of m rows, n columns and a reduction of k."""
    width = WIDTH[dtype]
    return {
        "op": "gemm", "op_class": "gemm", "shape": f"M{m}_N{n}_K{k}", "M": m, "N": n, "K": k, "dtype": dtype,
        "flops": 2 * m * n * k, "bytes": width * (m * k + k * n) + 2 * m * n,
    }


def attention(batch, q_len, past, heads, kv_heads, head_dim, dtype):
    """Causal attention of q_len new tokens after past cached ones; one new token is decoding."""
    cls = "attn_decode" if q_len == 1 else "attn_prefill"
    pairs = q_len * past + q_len * (q_len + 1) // 2
    return {
        "op": cls, "op_class": cls, "shape": f"B{batch}_Q{q_len}_KV{past}_H{heads}_HK{kv_heads}_D{head_dim}_kvb2",
        "batch": batch, "q_len": q_len, "kv_len": past, "n_heads": heads, "n_kv_heads": kv_heads, "head_dim": head_dim,
        "dtype": dtype, "flops": 4 * batch * heads * head_dim * pairs,
        "bytes": 2 * batch * head_dim * (2 * q_len * heads + 2 * (past + q_len) * kv_heads),
    }


def rows(op, op_class, tokens, width, dtype, tensors):
    """A norm or an element-wise operator over tokens rows of width elements that moves so many tensors."""
    return {
        "op": op, "op_class": op_class, "shape": f"T{tokens}_W{width}", "tokens": tokens, "width": width, "dtype": dtype,
        "flops": 0, "bytes": 2 * tensors * tokens * width,
    }


def moe(tokens, hidden, inner, top_k, experts, dtype):
    """A mixture of gated experts, all as likely; a loop over the experts of PyTorch's own operators."""
    used = min(experts, tokens * top_k)
    return {
        "op": "moe", "op_class": "moe", "shape": f"T{tokens}_H{hidden}_I{inner}_k{top_k}_E{experts}_tp1_ep1_balanced",
        "tokens": tokens, "width": hidden, "N": inner, "dtype": dtype, "flops": 6 * tokens * top_k * hidden * inner,
        "bytes": 6 * used * hidden * inner + 4 * tokens * hidden,
    }


# Layers of models in use, as (N, K) of their products.
LAYERS = [(4096, 4096), (6144, 4096), (28672, 4096), (4096, 14336), (10240, 8192), (8192, 8192), (57344, 8192), (8192, 28672), (1024, 4096), (5120, 640), (512, 4096)]


def plan(quick, dtypes):
    """All rows to measure, in order."""
    cases = []
    few = [1, 16, 128, 1024, 8192]
    many = [1, 2, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192, 16384]
    for dtype in dtypes:
        for m in few if quick else many:
            for n, k in LAYERS[:4] if quick else LAYERS:
                if dtype == "fp8" and m % 16:
                    continue  # torch._scaled_mm wants multiples of 16
                cases.append(gemm(m, n, k, dtype))
    wide = [d for d in dtypes if d != "fp8"][:1] or ["bf16"]
    heads = [(32, 8, 128)] if quick else [(32, 8, 128), (32, 32, 128), (64, 8, 128), (8, 1, 128), (16, 16, 64)]
    for h, hk, d in heads:
        for batch, q in [(1, 512), (1, 4096)] if quick else [(1, 128), (1, 512), (1, 2048), (1, 4096), (1, 8192), (4, 512), (4, 2048), (16, 512)]:
            cases.append(attention(batch, q, 0, h, hk, d, wide[0]))
        for batch, past in [(1, 4095), (16, 2047)] if quick else [(1, 511), (1, 4095), (1, 32767), (4, 4095), (16, 1023), (16, 4095), (64, 1023), (64, 4095), (256, 1023)]:
            cases.append(attention(batch, 1, past, h, hk, d, wide[0]))
    for tokens in [16, 4096] if quick else [1, 8, 64, 256, 1024, 4096, 16384]:
        for width in [4096] if quick else [2048, 4096, 8192]:
            cases.append(rows("rmsnorm", "norm", tokens, width, wide[0], 2))
            cases.append(rows("layernorm", "norm", tokens, width, wide[0], 2))
            cases.append(rows("softmax", "elementwise", tokens, width, wide[0], 2))
            cases.append(rows("silu-mul", "elementwise", tokens, width, wide[0], 3))
            cases.append(rows("gelu", "elementwise", tokens, width, wide[0], 2))
            cases.append(rows("add", "elementwise", tokens, width, wide[0], 3))
            cases.append(rows("copy", "elementwise", tokens, width, wide[0], 2))
    for tokens in [64] if quick else [1, 16, 64, 256, 1024, 4096]:
        for hidden, inner, top_k, experts in [(4096, 1536, 8, 32)] if quick else [(4096, 1536, 8, 32), (4096, 14336, 2, 8)]:
            cases.append(moe(tokens, hidden, inner, top_k, experts, wide[0]))
    return cases


def key(row):
    return tuple(str(row.get(c, "")) for c in ("op", "op_class", "shape", "dtype"))


def done(path):
    """What an earlier run has written. A last line that was cut is dropped."""
    if not os.path.exists(path):
        return set()
    with open(path, newline="", encoding="utf-8") as f:
        text = f.read()
    if text and not text.endswith("\n"):
        text = text[: text.rfind("\n") + 1]
        with open(path, "w", newline="", encoding="utf-8") as f:
            f.write(text)
    lines = list(csv.DictReader(text.splitlines()))
    if text and list(csv.reader(text.splitlines()))[0] != COLUMNS:
        sys.exit(f"measure: {path}: its columns are others; give another --out")
    return {key(r) for r in lines}


class Device:
    """The device under test, by PyTorch."""

    def __init__(self, index, repeat):
        import torch

        self.torch, self.repeat = torch, repeat
        if not torch.cuda.is_available():
            sys.exit("measure: PyTorch sees no GPU (--dry-run prints the plan without one)")
        if index >= torch.cuda.device_count():
            sys.exit(f"measure: --device {index}: there are {torch.cuda.device_count()}")
        torch.cuda.set_device(index)
        self.index = index
        self.name = torch.cuda.get_device_name(index)
        self.framework = f"torch {torch.__version__}"
        cache = getattr(torch.cuda.get_device_properties(index), "L2_cache_size", 0) or 64 << 20
        self.flush = torch.empty(max(2 * cache, 64 << 20), dtype=torch.int8, device="cuda")

    def types(self):
        t = self.torch
        list_ = ["bf16"] if t.cuda.is_bf16_supported() else ["fp16"]
        if hasattr(t, "_scaled_mm") and hasattr(t, "float8_e4m3fn") and t.version.hip is None and t.cuda.get_device_capability(self.index) >= (8, 9):
            list_.append("fp8")
        return list_

    def dtype(self, name):
        return {"bf16": self.torch.bfloat16, "fp16": self.torch.float16, "fp8": getattr(self.torch, "float8_e4m3fn", None)}[name]

    def random(self, *shape, dtype="bf16"):
        t = self.torch
        x = t.randn(*shape, device="cuda", dtype=t.float16 if dtype == "fp8" else self.dtype(dtype))
        return x.to(self.dtype(dtype)) if dtype == "fp8" else x

    def build(self, row):
        """A function that runs the row once, and the name of the kernel."""
        t, f, dt = self.torch, self.torch.nn.functional, row["dtype"]
        cls = row["op_class"]
        if cls == "gemm":
            a = self.random(row["M"], row["K"], dtype=dt)
            b = self.random(row["N"], row["K"], dtype=dt).t()
            if dt == "fp8":
                one = t.ones((), device="cuda")
                return lambda: t._scaled_mm(a, b, scale_a=one, scale_b=one, out_dtype=t.bfloat16), "torch._scaled_mm"
            return lambda: t.mm(a, b), "torch.mm"
        if cls in ("attn_prefill", "attn_decode"):
            return self.build_attention(row)
        if cls == "moe":
            return self.build_moe(row)
        x = self.random(row["tokens"], row["width"], dtype=dt)
        y = self.random(row["tokens"], row["width"], dtype=dt)
        w = self.random(row["width"], dtype=dt)
        out = t.empty_like(x)
        op = row["op"]
        if op == "rmsnorm" and hasattr(f, "rms_norm"):
            return lambda: f.rms_norm(x, (row["width"],), w), "torch rms_norm"
        if op == "layernorm":
            return lambda: f.layer_norm(x, (row["width"],), w, w), "torch layer_norm"
        if op == "softmax":
            return lambda: t.softmax(x, -1), "torch softmax"
        if op == "silu-mul":
            return lambda: f.silu(x) * y, "torch silu, mul"
        if op == "gelu":
            return lambda: f.gelu(x), "torch gelu"
        if op == "add":
            return lambda: t.add(x, y, out=out), "torch add"
        if op == "copy":
            return lambda: out.copy_(x), "torch copy_"
        raise NotImplementedError(f"{op} is not in this PyTorch")

    def build_attention(self, row):
        t, f, dt = self.torch, self.torch.nn.functional, row["dtype"]
        b, q, past, h, hk, d = (row[c] for c in ("batch", "q_len", "kv_len", "n_heads", "n_kv_heads", "head_dim"))
        try:
            import flash_attn

            query, k, v = (self.random(b, n, heads, d, dtype=dt) for n, heads in ((q, h), (past + q, hk), (past + q, hk)))
            if q == 1:
                query = query.view(b, 1, h, d)
                return lambda: flash_attn.flash_attn_with_kvcache(query, k, v, causal=True), f"flash_attn {flash_attn.__version__}"
            return lambda: flash_attn.flash_attn_func(query, k, v, causal=True), f"flash_attn {flash_attn.__version__}"
        except ImportError:
            pass
        query, k, v = (self.random(b, heads, n, d, dtype=dt) for n, heads in ((q, h), (past + q, hk), (past + q, hk)))
        causal = q > 1  # one query sees all keys
        if h == hk:
            return lambda: f.scaled_dot_product_attention(query, k, v, is_causal=causal), "torch SDPA"
        return lambda: f.scaled_dot_product_attention(query, k, v, is_causal=causal, enable_gqa=True), "torch SDPA"

    def build_moe(self, row):
        t, f, dt = self.torch, self.torch.nn.functional, row["dtype"]
        numbers = dict((p[0], int(p[1:])) for p in row["shape"].split("_")[:5])
        tokens, hidden, inner, top_k, experts = (numbers[c] for c in "THIkE")
        x = self.random(tokens, hidden, dtype=dt)
        up = self.random(experts, 2 * inner, hidden, dtype=dt)
        down = self.random(experts, hidden, inner, dtype=dt)
        # Dealt evenly and known beforehand, so that nothing waits for the host.
        chosen = t.arange(tokens * top_k, device="cuda") % experts
        parts = [t.nonzero(chosen == e).flatten() // top_k for e in range(experts)]

        def run():
            out = t.zeros_like(x)
            for e, rows_ in enumerate(parts):
                if len(rows_):
                    gate, value = f.linear(x[rows_], up[e]).chunk(2, -1)
                    out.index_add_(0, rows_, f.linear(f.silu(gate) * value, down[e]))
            return out

        return run, "torch loop over experts"

    def time(self, run):
        """Times of one run each, in microseconds, with caches of the size of L2 written over in between."""
        t = self.torch
        for _ in range(3):
            run()
        t.cuda.synchronize()
        graph = None
        try:
            graph = t.cuda.CUDAGraph()
            with t.cuda.graph(graph):
                run()
        except Exception:  # what cannot be captured is run as it is
            graph = None
            t.cuda.synchronize()
        play = graph.replay if graph is not None else run
        times = []
        began = time.monotonic()
        while len(times) < self.repeat or (len(times) < 5 * self.repeat and time.monotonic() - began < 0.05):
            start, end = t.cuda.Event(enable_timing=True), t.cuda.Event(enable_timing=True)
            self.flush.zero_()
            start.record()
            play()
            end.record()
            end.synchronize()
            times.append(1e3 * start.elapsed_time(end))
        # What an empty interval takes is part of each time.
        empty = []
        for _ in range(20):
            start, end = t.cuda.Event(enable_timing=True), t.cuda.Event(enable_timing=True)
            self.flush.zero_()
            start.record()
            end.record()
            end.synchronize()
            empty.append(1e3 * start.elapsed_time(end))
        floor = statistics.median(empty)
        return [max(x - floor, 0.01) for x in times], graph is not None

    def measure(self, row):
        run, kernel = self.build(row)
        with self.torch.no_grad():
            times, graph = self.time(run)
        kernel += "" if graph else ", no graph"
        return statistics.median(times), min(times), statistics.pstdev(times), kernel


def smi(index, *fields):
    """Figures of nvidia-smi, None where there is none."""
    if not shutil.which("nvidia-smi"):
        return None
    try:
        out = subprocess.run(["nvidia-smi", f"--id={index}", "--query-gpu=" + ",".join(fields), "--format=csv,noheader,nounits"], capture_output=True, text=True, timeout=20, check=True).stdout
        return [None if not v.strip().replace(".", "", 1).isdigit() else float(v) for v in out.strip().split(",")]
    except (subprocess.SubprocessError, OSError, ValueError):
        return None


def power(device, seconds):
    """Idle and loaded power in watts and the clock under load in MHz: of long products, and of long copies."""
    fields = ("power.draw", "clocks.sm", "clocks.mem", "power.limit")
    time.sleep(seconds)
    idle = smi(device.index, *fields)
    if idle is None:
        return None
    report = {"idle_watts": idle[0], "limit_watts": idle[3]}
    t = device.torch
    dtype = device.types()[0]
    a = device.random(8192, 8192, dtype=dtype)
    for name, run in (("matrix", lambda: t.mm(a, a)), ("memory", lambda: a.clone())):
        samples, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(50):
                run()
            now = smi(device.index, *fields)
            if now:
                samples.append(now)
            t.cuda.synchronize()
        half = samples[len(samples) // 2:]  # the first half is still getting warm
        for i, what in ((0, "watts"), (1, "clock_mhz")):
            values = [s[i] for s in half if s[i] is not None]
            report[f"{name}_{what}"] = statistics.median(values) if values else None
    return report


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter,
                                epilog="then: strata calibrate --data measured.csv --arch PRESET --write mine.yaml")
    p.add_argument("--out", default="measured.csv", help="CSV to write or to go on with (default %(default)s)")
    p.add_argument("--device", type=int, default=0, help="index of the GPU (default %(default)s)")
    p.add_argument("--name", default="", help="name for the column device, such as A100-SXM-80GB or a preset of strata (default: what the GPU calls itself)")
    p.add_argument("--quick", action="store_true", help="a few shapes of each kind: minutes instead of an hour")
    p.add_argument("--only", default="", help="only these classes, with commas between: gemm, attn_prefill, attn_decode, norm, elementwise, moe")
    p.add_argument("--repeat", type=int, default=20, help="times that each row is run at least (default %(default)s)")
    p.add_argument("--no-power", action="store_true", help="measure neither power nor clocks")
    p.add_argument("--dry-run", action="store_true", help="print the rows that would be measured as CSV, without times; needs neither GPU nor PyTorch")
    a = p.parse_args()
    if a.repeat < 3:
        sys.exit("measure: --repeat: at least 3")
    only = {c for c in a.only.split(",") if c}
    known = {"gemm", "attn_prefill", "attn_decode", "norm", "elementwise", "moe"}
    if only - known:
        sys.exit(f"measure: --only: unknown {', '.join(sorted(only - known))}; known: {', '.join(sorted(known))}")
    if a.dry_run:
        device, dtypes = None, ["bf16", "fp8"]
    else:
        try:
            device = Device(a.device, a.repeat)
        except ImportError:
            sys.exit("measure: PyTorch is not installed (--dry-run prints the plan without it)")
        dtypes = device.types()
    cases = [r for r in plan(a.quick, dtypes) if not only or r["op_class"] in only]
    if a.dry_run:
        w = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        w.writeheader()
        for i, row in enumerate(cases):
            w.writerow({**row, "id": i, "source": "measure.py", "device": a.name, "num_devices": 1, "devices_per_node": 1, "tp": 1, "w_dtype": row["dtype"], "framework": "torch"})
        print(f"measure: {len(cases)} rows", file=sys.stderr)
        return
    have = done(a.out)
    new = not os.path.exists(a.out) or os.path.getsize(a.out) == 0
    failed = 0
    with open(a.out, "a", newline="", encoding="utf-8") as f:
        w = csv.DictWriter(f, COLUMNS, lineterminator="\n")
        if new:
            w.writeheader()
        for i, row in enumerate(cases):
            if key(row) in have:
                continue
            try:
                median, least, spread, kernel = device.measure(row)
            except Exception as e:  # out of memory, or an operator that this PyTorch lacks
                failed += 1
                print(f"measure: {row['op']} {row['shape']} {row['dtype']}: left out: {str(e).splitlines()[0][:160]}", file=sys.stderr)
                device.torch.cuda.empty_cache()
                continue
            w.writerow({**row, "id": i, "source": "measure.py", "device": a.name or device.name, "num_devices": 1, "devices_per_node": 1, "tp": 1, "w_dtype": row["dtype"],
                        "framework": device.framework, "kernel": kernel, "measured_us": f"{median:.3f}", "min_us": f"{least:.3f}", "std_us": f"{spread:.3f}"})
            f.flush()
            print(f"[{i + 1}/{len(cases)}] {row['op']} {row['shape']} {row['dtype']}: {median:.2f} us", file=sys.stderr)
    if not a.no_power:
        report = power(device, 2 if a.quick else 6)
        if report is None:
            print("measure: no nvidia-smi: neither power nor clocks", file=sys.stderr)
        else:
            report["device"] = a.name or device.name
            with open(os.path.splitext(a.out)[0] + "-power.json", "w", encoding="utf-8") as f:
                json.dump(report, f, indent=1)
                f.write("\n")
            print("measure: " + ", ".join(f"{k} {v}" for k, v in report.items()), file=sys.stderr)
    print(f"measure: {a.out}: {len(cases) - failed} rows" + (f", {failed} left out" if failed else ""), file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # whoever reads has seen enough
        sys.stderr.close()
