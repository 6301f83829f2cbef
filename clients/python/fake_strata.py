"""A stand-in for `strata estimate` in tests of the client: it speaks the protocol and misbehaves when it is asked to.

A request with "do" is answered by what that says: "echo" (the id), "sleep" (never in time), "die", "exit", "garbage", "nan", "shout"
(a megabyte on standard error), "large" (an answer of 100 kB). There is one space, of a model's width and depth.
"""

import json
import os
import signal
import sys
import time

SPACE = {
    "name": "toy", "hash": "sha256:5eed", "points": 4 * 15 * 3 * 2,
    "parameters": [
        {"name": "hidden", "type": "int", "values": [512, 1024, 1536, 2048]},
        {"name": "layers", "type": "int", "low": 2, "high": 30, "step": 2},
        {"name": "norm", "type": "categorical", "values": ["rms", "layer", "none"]},
        {"name": "tied", "type": "bool"},
        {"name": "rate", "type": "float", "low": 0.01, "high": 1.0, "log": True},
        {"name": "drop", "type": "float", "low": 0.0, "high": 0.5},
        {"name": "width", "type": "float", "low": 0.5, "high": 1.5, "step": 0.25},
    ],
    "constraints": ["hidden * layers <= 40000"],
    "objectives": [{"column": "seconds", "goal": "min"}, {"column": "quality", "goal": "max"}],
    "columns": ["quality"],
}
known = False


def answer(q):
    global known
    a = {"id": q["id"]} if isinstance(q, dict) and "id" in q else {}
    do = q.get("do", "")
    if do == "sleep":
        time.sleep(60)
    elif do == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif do == "once":  # dies, but not when it is asked again
        if not os.path.exists(q["file"]):
            open(q["file"], "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
    elif do == "exit":
        sys.exit("cannot go on")
    elif do == "nan":
        return {**a, "status": "ok", "seconds": float("nan")}
    elif do == "shout":
        sys.stderr.write("x" * 999_999 + "\n")
    elif do == "large":
        return {**a, "status": "ok", "text": "x" * 100_000}
    if q.get("space") == "wrong":
        return {**a, "status": "invalid", "error": {"code": "unknown-value", "path": "/space", "message": "no space \"wrong\"", "hint": "toy"}}
    if "space" in q and "point" not in q:
        known = True
        return {**a, "status": "ok", "space": SPACE}
    if "point" in q:
        if not known:
            return {**a, "status": "invalid", "error": {"code": "unknown-space", "path": "/space", "message": "unknown space", "hint": "send it"}}
        return {**a, **point(q)}
    return {**a, "status": "ok", "seconds": 0.5}


def point(q):
    p = q["point"]
    for s in SPACE["parameters"]:
        v = p.get(s["name"])
        if v is None or ("values" in s and v not in s["values"]) or ("low" in s and not s["low"] <= v <= s["high"]):
            return {"status": "invalid", "error": {"code": "range", "path": "/point/" + s["name"], "message": f"{v!r}", "hint": ""}}
    size = p["hidden"] * p["layers"]
    if size > 40000:
        return {"status": "infeasible", "violations": {SPACE["constraints"][0]: size / 40000 - 1},
                "error": {"code": "constraint", "path": "/point", "message": "hidden * layers <= 40000", "hint": ""}}
    if p["norm"] == "none" and p["layers"] > 20:
        return {"status": "infeasible", "error": {"code": "does-not-fit", "path": "/model", "message": "does not fit", "hint": ""}}
    seconds = size * 1e-6 * p["width"]
    out = limited = {"status": "ok", "seconds": seconds, "joules": 3 * seconds, "columns": {"quality": size ** 0.5 * p["width"] * (1 + p["tied"] * 0.1)}}
    if "metrics" in q and "old" in q:
        return {"status": "invalid", "error": {"code": "unknown-member", "path": "/metrics", "message": "no member metrics", "hint": ""}}
    if "metrics" in q:
        for i, m in enumerate(q["metrics"]):
            if m not in ("seconds", "joules"):
                return {"status": "invalid", "error": {"code": "unknown-value", "path": f"/metrics/{i}", "message": f"no figure {m}", "hint": ""}}
        out = {k: v for k, v in out.items() if k in ("status", *q["metrics"]) or k == "columns" and "bare" not in q}
    out["violations"] = {k: limited[k] / limit - 1 for k, limit in q.get("limits", {}).items()}
    out["violations"][SPACE["constraints"][0]] = size / 40000 - 1
    return out


def main():
    if sys.argv[1:2] != ["estimate"]:
        sys.exit("fake: only estimate")
    for line in sys.stdin:
        q = json.loads(line)
        if isinstance(q, dict) and q.get("do") == "garbage":
            print("Segmentation fault", flush=True)
            continue
        print(json.dumps([answer(x) for x in q] if isinstance(q, list) else answer(q)), flush=True)


if __name__ == "__main__":
    main()
