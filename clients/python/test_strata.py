#!/usr/bin/env python3
"""Tests of strata.py, with the program $STRATA (else the one in PATH) and, for what a good one does not do, with fake_strata.py.

Tests of adapters are skipped where their library is missing.
"""

import collections
import contextlib
import doctest
import functools
import gc
import http.server
import importlib.util
import io
import json
import math
import multiprocessing
import os
import pathlib
import pickle
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
import unittest
import warnings

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

import strata  # noqa: E402

CHIP = "a100-sxm-80gb"
FAKE = ""  # a program: fake_strata.py under this python, with nothing loaded that it does not need


def setUpModule():
    global FAKE
    folder = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(folder.cleanup)
    FAKE = os.path.join(folder.name, "fake")
    pathlib.Path(FAKE).write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "{HERE}/fake_strata.py" "$@"\n')
    os.chmod(FAKE, 0o755)


def gemm(i, **more):
    return {"id": i, "op": {"kind": "gemm", "m": 128, "n": 64 + 8 * (i % 100), "k": 512}, **more}


def ask_from(oracle, i):
    return oracle.estimate(gemm(i)), oracle._way.child.pid


def missing(*names):
    return [n for n in names if importlib.util.find_spec(n) is None]


def children():
    """States of the children of this process that ended or are `strata estimate`, by pid."""
    found = {}
    for stat in pathlib.Path("/", "proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = stat.read_text().partition(" (")
            command = stat.with_name("cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        state, parent = rest.rpartition(")")[2].split()[:2]
        if int(parent) == os.getpid() and (state == "Z" or b"estimate" in command):
            found[int(pid)] = state
    return found


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return pathlib.Path("/", "proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return pathlib.Path("/", "proc").exists() is False


def eventually(what, seconds=10):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Process(unittest.TestCase):
    """The oracle as a process."""

    def setUp(self):
        self.oracle = strata.Oracle(arch=CHIP)
        self.addCleanup(self.oracle.close)

    def test_many_in_one_call(self):
        answers = self.oracle.estimates(gemm(i) for i in range(10_000))
        self.assertEqual([a["id"] for a in answers], list(range(10_000)))
        self.assertTrue(all(a.ok and a.seconds > 0 and a.joules > 0 for a in answers))
        self.assertEqual(answers[1]["seconds"], answers[101]["seconds"])
        self.assertNotEqual(answers[1]["seconds"], answers[50]["seconds"])

    def test_statuses(self):
        ok, beyond, unfit, wrong, odd = self.oracle.estimates([
            gemm(0, limits={"seconds": 1}), gemm(1, limits={"seconds": 1e-9}), {"model": "llama2-70b"}, {"op": {"kind": "gem"}},
            {"model": "llama2-7b", "fase": "decode"}])
        self.assertTrue(ok.feasible and ok.violations["seconds"] < 0 and ok.error is None)
        self.assertTrue(beyond.ok and not beyond.feasible and beyond.violations["seconds"] > 0)
        self.assertEqual((unfit.status, unfit.error.code, unfit.seconds, unfit.feasible), ("infeasible", "does-not-fit", None, False))
        self.assertEqual((wrong.error.code, wrong.error.path), ("unknown-kind", "/op/kind"))
        self.assertEqual(odd.error.code, "unknown-member")
        with self.assertRaisesRegex(strata.StrataError, "infeasible, does-not-fit at /model: .*80.00 GiB"):
            unfit.check()
        self.assertIs(ok.check(), ok)

    def test_one_bad_request_spoils_no_other(self):
        deep = {"op": {}}
        for _ in range(70):
            deep = {"op": deep}
        answers = self.oracle.estimates([gemm(0), deep, {"id": 2, "model": "\ud800"}, {"id": 3, "arch": "x" * strata.MAX_LINE}, gemm(4)])
        self.assertEqual([a.status for a in answers], ["ok", "invalid", "invalid", "invalid", "ok"])
        self.assertEqual(answers[3].error.code, "too-large")

    def test_not_json(self):
        for bad in ({"op": float("nan")}, {"op": object()}, {"op": math.inf}):
            with self.assertRaisesRegex(strata.StrataError, "invalid, syntax"):
                self.oracle.estimate(bad)
        with self.assertRaisesRegex(strata.StrataError, "a request is a dict, not str"):
            self.oracle.estimate("llama2-7b")

    def test_models(self):
        config = strata.llama(1024, 4, num_key_value_heads=2)

        class Config:
            def to_dict(self):
                return config

        class Model:
            config = Config()

            def __getattr__(self, name):
                raise AttributeError(name)

        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "config.json")
            path.write_text(json.dumps(config))
            answers = self.oracle.estimates([{"model": m, "phase": "prefill"} for m in (config, Config(), Model(), path)])
        self.assertEqual({a.check().seconds for a in answers}, {answers[0].seconds})

    def test_defaults(self):
        with strata.Oracle(arch=CHIP, defaults={"phase": "decode", "batch": 4}) as oracle:
            a, b, c = oracle.estimates([{"model": "llama2-7b"}, {"model": "llama2-7b", "batch": 8}, {"model": "llama2-7b", "arch": "h100-sxm"}])
        self.assertEqual([x.check()["batch"] for x in (a, b, c)], [4, 8, 4])
        self.assertEqual(c["arch"], "h100-sxm")

    def test_numpy(self):
        if missing("numpy"):
            self.skipTest("numpy is not installed")
        import numpy

        a, b = self.oracle.estimates([{"op": {"kind": "gemm", "m": k(64), "n": k(64), "k": k(64)}} for k in (numpy.int64, int)])
        self.assertEqual(a.check(), b.check())

    def test_threads(self):
        mixed = []

        def work(k):
            for i in range(200):
                n = 200 * k + i
                if self.oracle.estimate(gemm(n))["id"] != n:
                    mixed.append(n)
            many = self.oracle.estimates(gemm(1000 * k + i) for i in range(50))
            if [a["id"] for a in many] != [1000 * k + i for i in range(50)]:
                mixed.append(k)

        threads = [threading.Thread(target=work, args=(k,)) for k in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(120)
        self.assertFalse(any(t.is_alive() for t in threads))
        self.assertEqual(mixed, [])
        self.assertEqual(len(children()), 1)

    def test_killed_midway(self):
        self.oracle.estimate(gemm(0))
        child = self.oracle._way.child
        killer = threading.Timer(0.1, child.kill)
        killer.start()
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            answers, n = [], 0
            while child.returncode is None:  # until a call has noticed
                answers = self.oracle.estimates(gemm(n + i) for i in range(2000))
                self.assertEqual([a["id"] for a in answers], [n + i for i in range(2000)])
                n += 2000
        killer.join()
        said = [str(w.message) for w in seen if w.category is RuntimeWarning]
        self.assertEqual(len(said), 1)
        self.assertRegex(said[0], "killed by signal 9.*started again")
        self.assertNotIn("Z", children().values())

    def test_killed_under_threads(self):
        with strata.Oracle(arch=CHIP) as oracle, warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            wrong = []

            def work(k):
                for i in range(20):
                    if [a["id"] for a in oracle.estimates(gemm(k * 1000 + j) for j in range(50))] != [k * 1000 + j for j in range(50)]:
                        wrong.append(k)

            threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
            oracle.estimate(gemm(0))
            for t in threads:
                t.start()
            oracle._way.child.kill()
            for t in threads:
                t.join(120)
            self.assertFalse(any(t.is_alive() for t in threads))
            self.assertEqual(wrong, [])
            self.assertEqual(len([w for w in seen if w.category is RuntimeWarning]), 1)
        self.assertNotIn("Z", children().values())

    def test_pickle(self):
        before = self.oracle.estimate(gemm(1))
        with pickle.loads(pickle.dumps(self.oracle)) as copy:
            self.assertEqual(copy.estimate(gemm(1)), before)
            self.assertNotEqual(copy._way.child.pid, self.oracle._way.child.pid)
        self.assertEqual(pickle.loads(pickle.dumps(before)), before)
        error = pickle.loads(pickle.dumps(strata.StrataTimeout("late", code="timeout", hint="h")))
        self.assertEqual((type(error), str(error)), (strata.StrataTimeout, "error, timeout: late (h)"))

    def test_processes(self):
        for method in ("fork", "spawn"):
            before = self.oracle.estimate(gemm(1))
            with multiprocessing.get_context(method).Pool(2) as pool:
                answers = pool.map(functools.partial(ask_from, self.oracle), range(20), chunksize=1)
            self.assertEqual([a["id"] for a, _ in answers], list(range(20)))
            self.assertEqual(answers[1][0], before)
            programs = {pid for _, pid in answers}
            self.assertLessEqual(len(programs), 2)  # though each task had a copy of its own
            self.assertNotIn(self.oracle._way.child.pid, programs)
            self.assertTrue(eventually(lambda: not any(alive(pid) for pid in programs)))

    def test_fork(self):
        """A fork, while other threads ask, has a program of its own, and leaves that of its parent alone."""
        self.oracle.estimate(gemm(0))
        stop, wrong = threading.Event(), []

        def work(k):
            while not stop.is_set():
                n = random.randrange(1 << 30)
                if self.oracle.estimate(gemm(n))["id"] != n:
                    wrong.append(n)

        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for t in threads:
            t.start()
        codes = []
        for n in range(3):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    signal.alarm(60)
                    ids = [a["id"] for a in self.oracle.estimates(gemm(i) for i in range(300))]
                    mine = self.oracle._way.child.pid
                    self.oracle.close()
                    code = 0 if ids == list(range(300)) and not alive(mine) else 2
                finally:
                    os._exit(code)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        with self.oracle._lock:  # as another thread may at that moment
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    signal.alarm(60)
                    code = 0 if self.oracle.estimate(gemm(7))["id"] == 7 else 2
                finally:
                    os._exit(code)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        stop.set()
        for t in threads:
            t.join(60)
        self.assertEqual((codes, wrong), ([0, 0, 0, 0], []))
        self.assertTrue(alive(self.oracle._way.child.pid))

    def test_no_process_stays(self):
        """However a program ends, its oracle's process ends too."""
        lives_on = "os.fork() and os.kill(os.getpid(), 9); os.close(1); os.close(2); time.sleep(4); os._exit(0)"  # a copy of the program does
        for how in ("pass", "os._exit(0)", "os.kill(os.getpid(), 9)", "raise SystemExit(3)", "oracle = None; import gc; gc.collect()", lives_on):
            run = subprocess.run([sys.executable, "-c", f"""if True:
                import os, strata, time
                oracle = strata.Oracle(arch={CHIP!r})
                oracle.estimate({gemm(0)!r})
                print(oracle._way.child.pid, flush=True)
                {how}"""], env={**os.environ, "PYTHONPATH": str(HERE)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual(run.stderr, "", how)
            self.assertTrue(eventually(lambda: not alive(int(run.stdout)), 3), how)

    def test_closed(self):
        self.oracle.estimate(gemm(0))
        pid = self.oracle._way.child.pid
        self.oracle.close()
        self.oracle.close()
        self.assertNotIn(pid, children())
        with self.assertRaisesRegex(strata.StrataError, "closed"):
            self.oracle.estimate(gemm(0))

    def test_binary(self):
        with self.assertRaisesRegex(strata.StrataError, r"no-binary.*no program binary= nowhere.*go build.*\$STRATA.*url="):
            strata.Oracle("nowhere").estimate(gemm(0))
        old = os.environ.get("STRATA")
        try:
            os.environ["STRATA"] = FAKE
            with strata.Oracle() as oracle:
                self.assertEqual(oracle.estimate({"id": 1})["seconds"], 0.5)
            os.environ["STRATA"] = "elsewhere"
            with self.assertRaisesRegex(strata.StrataError, r"\$STRATA says elsewhere"):
                strata.Oracle().estimate(gemm(0))
        finally:
            os.environ.pop("STRATA")
            if old is not None:
                os.environ["STRATA"] = old
        with self.assertRaisesRegex(strata.StrataError, "ended again.*unknown flag: --wrong"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            strata.Oracle(options=["--wrong"]).estimate(gemm(0))
        for wrong in ({"timeout": 0}, {"batch": 0}, {"binary": "a", "url": "http://b"}, {"url": "ftp://c"}, {"url": "127.0.0.1:8080"}):
            with self.assertRaises(strata.StrataError):
                strata.Oracle(**wrong)


class Misbehaving(unittest.TestCase):
    """A process that does what ours should not."""

    def setUp(self):
        self.oracle = strata.Oracle(FAKE, timeout=20)
        self.addCleanup(self.oracle.close)

    def test_timeout(self):
        self.oracle.timeout = 0.3
        began = time.monotonic()
        with self.assertRaisesRegex(strata.StrataTimeout, "no answer for 0.3 s"):
            self.oracle.estimates([{"id": 1}, {"do": "sleep"}, {"id": 3}])
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(children(), {})
        self.oracle.timeout = 20
        self.assertEqual(self.oracle.estimate({"id": 4})["id"], 4)

    def test_timeout_of_threads(self):
        self.oracle.timeout = 1
        failed = []

        def work(do):
            try:
                self.oracle.estimate({"do": do})
            except strata.StrataError as e:
                failed.append(e.code)

        threads = [threading.Thread(target=work, args=("sleep",)) for _ in range(5)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(20)
        self.assertEqual(failed, ["timeout"] * 5)
        self.assertEqual(children(), {})

    def test_not_read(self):
        """A process that stops reading does not stop us for ever."""
        self.oracle.timeout = 0.5
        with self.assertRaises(strata.StrataTimeout):
            self.oracle.estimates([{"do": "sleep"}] + [{"id": i, "text": "x" * 1000} for i in range(5000)])

    def test_both_directions_full(self):
        """A megabyte waits to be written while ten wait to be read."""
        answers = self.oracle.estimates({"id": i, "do": "large", "text": "y" * 10_000} for i in range(100))
        self.assertEqual([a["id"] for a in answers], list(range(100)))
        self.assertTrue(all(len(a["text"]) == 100_000 for a in answers))

    def test_standard_error_full(self):
        self.assertTrue(self.oracle.estimate({"do": "shout"}).ok)

    def test_dies_once(self):
        with tempfile.TemporaryDirectory() as folder, self.assertWarnsRegex(RuntimeWarning, "killed by signal 9.*started again and 2 requests are asked again"):
            answers = self.oracle.estimates([{"id": 1}, {"id": 2, "do": "once", "file": folder + "/f"}, {"id": 3}])
        self.assertEqual([a["id"] for a in answers], [1, 2, 3])

    def test_dies_always(self):
        with self.assertWarns(RuntimeWarning), self.assertRaisesRegex(strata.StrataError, "error, process: .*ended again.*2 requests unanswered"):
            self.oracle.estimates([{"id": 1}, {"id": 2, "do": "die"}, {"id": 3}])
        with self.assertWarns(RuntimeWarning), self.assertRaisesRegex(strata.StrataError, "exit code 1: cannot go on"):
            self.oracle.estimate({"do": "exit"})
        self.assertEqual(self.oracle.estimate({"id": 4})["id"], 4)

    def test_malformed(self):
        for do, what in (("garbage", "not JSON: b'Segmentation fault'"), ("nan", "not JSON")):
            with self.assertRaisesRegex(strata.StrataError, "error, protocol: " + what):
                self.oracle.estimate({"do": do})
            self.assertEqual(self.oracle.estimate({"id": 4})["id"], 4)

    def test_interrupted(self):
        """Ctrl-C while an answer is waited for leaves neither a process nor a wrong answer."""
        def handler(*_):
            raise KeyboardInterrupt

        old = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        try:
            with self.assertRaises(KeyboardInterrupt):
                self.oracle.estimates([{"id": 1}, {"do": "sleep"}])
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
        self.assertEqual(children(), {})
        self.assertEqual(self.oracle.estimate({"id": 4})["id"], 4)

    def test_closed_under_threads(self):
        failed = []

        def work():
            try:
                self.oracle.estimate({"do": "sleep"})
            except strata.StrataError as e:
                failed.append(str(e))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for t in threads:
            t.start()
        self.assertTrue(eventually(lambda: self.oracle._way and len(self.oracle._way._pending) == 3))
        self.oracle.close()
        for t in threads:
            t.join(10)
        self.assertEqual(len(failed), 3)
        self.assertTrue(all("closed" in f for f in failed), failed)
        gc.collect()
        self.assertEqual(children(), {})


class Handler(http.server.BaseHTTPRequestHandler):
    """A server that answers as fake_strata.py does, after the troubles that its server has in stock."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        server.requests.append((self.path, self.headers.get("Authorization"), self.client_address))
        trouble = server.troubles.popleft() if server.troubles else None
        if trouble == "drop":
            self.close_connection = True
            return
        if trouble == "stall":
            time.sleep(3)
        if isinstance(trouble, tuple):
            status, headers, text = trouble
        else:
            lines = json.loads(body)
            if len(body) > server.most:
                status, headers, text = 413, {}, "too large"
            elif any("spoils" in line for line in lines) and len(lines) > 1:
                status, headers, text = 200, {}, json.dumps({"status": "invalid", "error": {"code": "syntax", "path": "", "message": "no", "hint": ""}})
            else:
                status, headers, text = 200, {}, json.dumps([fake.answer(line) for line in lines])
        if text is None:
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


spec = importlib.util.spec_from_file_location("fake_strata", HERE / "fake_strata.py")
fake = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fake)


@contextlib.contextmanager
def served(address=("127.0.0.1", 0), family=socket.AF_INET):
    class Server(http.server.ThreadingHTTPServer):
        address_family = family

        def server_bind(self):
            if family == socket.AF_UNIX:
                self.socket.bind(self.server_address)
                self.server_name, self.server_port = "localhost", 0
            else:
                super().server_bind()

        def get_request(self):
            request, peer = super().get_request()
            self.open.append(request)
            return request, peer or ("unix", id(request))

        def handle_error(self, *_):
            pass  # clients that went away

    server = Server(address, Handler)
    server.open = []
    server.troubles, server.requests, server.most = collections.deque(), [], 1 << 20
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        for connection in server.open:  # as when a server's process ends
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class HTTP(unittest.TestCase):
    """The oracle as a server: the client's part, against a server in this process."""

    def run_with(self, **options):
        context = served()
        server = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        oracle = strata.Oracle(url=server.url, **{"timeout": 10, **options})
        self.addCleanup(oracle.close)
        return server, oracle

    def test_batches(self):
        server, oracle = self.run_with(batch=100, token="secret")
        answers = oracle.estimates({"id": i} for i in range(1050))
        self.assertEqual([a["id"] for a in answers], list(range(1050)))
        self.assertEqual(len(server.requests), 11)
        self.assertEqual({(path, token) for path, token, _ in server.requests}, {("/v1/estimate", "Bearer secret")})
        self.assertLessEqual(len({peer for _, _, peer in server.requests}), strata.STREAMS)
        self.assertEqual(oracle.estimates([]), [])

    def test_connections_are_kept(self):
        server, oracle = self.run_with()
        for i in range(20):
            self.assertEqual(oracle.estimate({"id": i})["id"], i)
        self.assertEqual(len({peer for _, _, peer in server.requests}), 1)

    def test_unix(self):
        with tempfile.TemporaryDirectory() as folder, served(folder + "/s", socket.AF_UNIX):
            for url in ("unix:" + folder + "/s", "unix://" + folder + "/s"):
                with strata.Oracle(url=url, timeout=10) as oracle:
                    self.assertEqual([a["id"] for a in oracle.estimates([{"id": 1}, {"id": 2}])], [1, 2])

    def test_dropped(self):
        """A connection that ends is no answer, and the request is asked again, so many times and no more."""
        server, oracle = self.run_with()
        server.troubles.extend(["drop", "drop"])
        self.assertEqual(oracle.estimate({"id": 1})["id"], 1)
        self.assertEqual(len(server.requests), 3)
        server.troubles.extend(["drop"] * 20)
        with self.assertRaisesRegex(strata.StrataError, "error, connection: .*strata oracle serve"):
            oracle.estimate({"id": 1})
        self.assertEqual(len(server.requests), 3 + 2 + strata.RETRIES)  # the first was over the connection that was kept

    def test_killed_and_back(self):
        with served() as server:
            port = server.server_port
            oracle = strata.Oracle(url=server.url, timeout=10)
            self.assertTrue(oracle.estimate({"id": 1}).ok)
        began = time.monotonic()
        with self.assertRaisesRegex(strata.StrataError, "error, connection: .*refused"):
            oracle.estimate({"id": 1})
        self.assertLess(time.monotonic() - began, 5)
        with served(("127.0.0.1", port)):
            self.assertTrue(oracle.estimate({"id": 1}).ok)
            oracle.close()

    def test_busy(self):
        server, oracle = self.run_with(timeout=5)
        began = time.monotonic()
        server.troubles.extend([(429, {"Retry-After": "0.2"}, "busy"), (503, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, "")])
        self.assertEqual(oracle.estimate({"id": 1})["id"], 1)
        self.assertGreaterEqual(time.monotonic() - began, 0.2)
        server.troubles.append((429, {"Retry-After": "60"}, '{"error":{"message":"too many"}}'))
        with self.assertRaisesRegex(strata.StrataError, "error, http: .* answers 429: too many"):
            oracle.estimate({"id": 1})

    def test_timeout(self):
        server, oracle = self.run_with(timeout=0.3)
        server.troubles.append("stall")
        with self.assertRaisesRegex(strata.StrataTimeout, "no answer for 0.3 s"):
            oracle.estimate({"id": 1})
        self.assertEqual(len(server.requests), 1)
        self.assertEqual(oracle.estimate({"id": 2})["id"], 2)

    def test_refused(self):
        server, oracle = self.run_with()
        for status, text, what in ((401, "who are you", "401: who are you .Oracle.url=…, token=….*"), (404, "", "404"), (500, '{"error":"x"}', "500"),
                                   (200, "<html>", "protocol: not JSON"), (200, "[]", "200"), (200, "[1,2]", "200"), (400, "<html>", "400: <html>")):
            server.troubles.append((status, {}, text))
            with self.assertRaisesRegex(strata.StrataError, what):
                oracle.estimate({"id": 1})
        server.troubles.append((400, {}, '{"status":"invalid","error":{"code":"syntax","path":"","message":"m","hint":""}}'))
        self.assertEqual(oracle.estimate({"id": 1}).error.code, "syntax")

    def test_too_large(self):
        server, oracle = self.run_with()
        server.most = 5000
        answers = oracle.estimates({"id": i, "text": "x" * 1000} for i in range(20))
        self.assertEqual([a["id"] for a in answers], list(range(20)))
        with self.assertRaisesRegex(strata.StrataError, "413"):
            oracle.estimate({"id": 1, "text": "x" * 6000})

    def test_too_long(self):
        """What a server has no time for at once, it is asked in parts."""
        server, oracle = self.run_with()
        late = (503, {"Retry-After": "9"}, '{"status":"error","error":{"code":"timeout","path":"","message":"no answer within the time allowed","hint":""}}')
        server.troubles.append(late)
        self.assertEqual([a["id"] for a in oracle.estimates({"id": i} for i in range(7))], list(range(7)))
        self.assertEqual(len(server.requests), 3)
        server.troubles.append(late)
        with self.assertRaisesRegex(strata.StrataTimeout, "within the time allowed"):
            oracle.estimate({"id": 1})

    def test_one_spoils_a_batch(self):
        _, oracle = self.run_with()
        self.assertEqual([a["id"] for a in oracle.estimates([{"id": 1}, {"id": 2, "spoils": True}, {"id": 3}])], [1, 2, 3])

    def test_threads_pickle_fork(self):
        _, oracle = self.run_with()
        oracle.estimate({"id": 0})
        wrong = []

        def work(k):
            for i in range(200):
                if oracle.estimate({"id": 200 * k + i})["id"] != 200 * k + i:
                    wrong.append(i)

        threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        for t in threads:
            t.start()
        with pickle.loads(pickle.dumps(oracle)) as copy:
            self.assertEqual(copy.estimate({"id": 7})["id"], 7)
        for t in threads:
            t.join(60)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                signal.alarm(30)
                code = 0 if [a["id"] for a in oracle.estimates([{"id": 3}, {"id": 4}])] == [3, 4] else 2
            finally:
                os._exit(code)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        self.assertEqual(oracle.estimate({"id": 9})["id"], 9)
        self.assertEqual(wrong, [])


@contextlib.contextmanager
def serving(*flags, listen="127.0.0.1:0"):
    """A server of the program under test."""
    argv = [strata.find_binary(), "oracle", "serve", "--listen", listen, *flags]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            server.where = json.loads(server.stdout.readline())
            yield server
        finally:
            server.terminate()


class Transports(unittest.TestCase):
    """The program as a process and as a server."""

    requests = [gemm(i) for i in range(300)] + [
        {"model": "llama2-7b", "phase": "decode", "batch": 8, "limits": {"seconds": 0.01}}, {"model": "llama2-70b"}, {"op": {"kind": "no"}}, {}, {"id": "x", "op": 3},
        {"model": strata.llama(1024, 2)}, {"model": "\ud800"}, {"id": 1, "text": "x" * strata.MAX_LINE}]

    def test_equal(self):
        with strata.Oracle(arch=CHIP) as oracle:
            want = oracle.estimates(self.requests)
        with serving() as server, strata.Oracle(url=server.where["url"], arch=CHIP, batch=100) as oracle:
            have = oracle.estimates(self.requests)
            self.assertEqual([oracle.estimate(r) for r in self.requests[:10]], want[:10])
        self.assertEqual(len(have), len(want))
        for h, w in zip(have, want):
            if w.status == "invalid" and w.error.code in ("syntax", "too-large"):  # a line, or a body: the messages count bytes
                self.assertEqual((h.status, h.error.code, h.error.path), (w.status, w.error.code, w.error.path))
            else:
                self.assertEqual(h, w)

    def test_machine_file(self):
        """A server reads no files: it is sent the machine, again if it has forgotten it."""
        with tempfile.TemporaryDirectory() as folder:
            mine, wrong = pathlib.Path(folder, "mine.yaml"), pathlib.Path(folder, "wrong.yaml")
            mine.write_text("base: a100-sxm-80gb\nname: mine\nset: {chip.clock: 1 GHz}\n")
            wrong.write_text("base: a100-sxm-80gb\nset: {chip.clock: 1 GB}\n")
            with strata.Oracle(arch=mine) as oracle:
                want = oracle.estimates([gemm(1), gemm(2, arch=CHIP)])
            self.assertGreater(want[0].check().seconds, 0)
            with serving() as server:
                for _ in range(2):
                    with strata.Oracle(url=server.where["url"], arch=mine) as oracle:
                        self.assertEqual(oracle.estimates([gemm(1), gemm(2, arch=CHIP)]), want)
                        copy = pickle.loads(pickle.dumps(oracle))
                        self.assertEqual(copy.estimate(gemm(1)), want[0])
                        copy.close()
                        with self.assertRaisesRegex(strata.StrataError, "unknown-arch at /arch: .*wrong.yaml: line 2: set.chip.clock"):
                            oracle.estimate(gemm(1, arch=wrong))
                        with self.assertRaisesRegex(strata.StrataError, "no.yaml: No such file"):
                            oracle.estimate(gemm(1, arch=pathlib.Path("no.yaml")))

    def test_socket_and_token(self):
        with tempfile.TemporaryDirectory() as folder:
            token = pathlib.Path(folder, "token")
            token.write_text("0123456789abcdef" * 2)
            with serving("--token-file", str(token), listen=f"unix:{folder}/s"):
                with strata.Oracle(url=f"unix:{folder}/s", token=token.read_text(), arch=CHIP) as oracle:
                    self.assertTrue(oracle.estimate(gemm(1)).ok)
                with strata.Oracle(url=f"unix:{folder}/s", arch=CHIP) as oracle, self.assertRaisesRegex(strata.StrataError, "401"):
                    oracle.estimate(gemm(1))

    def test_server_killed_midway(self):
        with serving() as server:
            port = server.where["address"].rpartition(":")[2]
            oracle = strata.Oracle(url=server.where["url"], arch=CHIP, timeout=20)
            self.addCleanup(oracle.close)
            self.assertTrue(oracle.estimate(gemm(1)).ok)
            timer = threading.Timer(0.2, server.kill)
            timer.start()
            with self.assertRaisesRegex(strata.StrataError, "connection"):
                while True:
                    oracle.estimates(gemm(i) for i in range(1000))
            timer.join()
        with serving(listen="127.0.0.1:" + port):
            self.assertEqual([a["id"] for a in oracle.estimates(gemm(i) for i in range(600))], list(range(600)))

    def test_threads(self):
        with serving() as server, strata.Oracle(url=server.where["url"], arch=CHIP) as oracle:
            mixed = []

            def work(k):
                for i in range(200):
                    if oracle.estimate(gemm(200 * k + i))["id"] != 200 * k + i:
                        mixed.append(i)

            threads = [threading.Thread(target=work, args=(k,)) for k in range(16)]
            for t in threads:
                t.start()
            for t in threads:
                t.join(120)
            self.assertFalse(any(t.is_alive() for t in threads))
            self.assertEqual(mixed, [])


@unittest.skipIf(missing("numpy"), "numpy is not installed")
class Numpy(unittest.TestCase):
    def test_arrays(self):
        import numpy

        self.assertEqual(strata._text({"a": numpy.float32(0.5), "b": numpy.arange(3), "c": numpy.bool_(True)}), b'{"a":0.5,"b":[0,1,2],"c":true}')


class Toy(unittest.TestCase):
    """With the space of fake_strata.py."""

    def setUp(self):
        self.oracle = strata.Oracle(FAKE, timeout=20)
        self.addCleanup(self.oracle.close)
        self.space = self.oracle.space("toy", limits={"seconds": 0.035, "joules": 0.2})

    def feasible_point(self, **more):
        return {"hidden": 1024, "layers": 8, "norm": "rms", "tied": False, "rate": 0.1, "drop": 0.0, "width": 1.0, **more}


class Spaces(Toy):
    def test_space(self):
        s = self.space
        self.assertEqual((s.name, s.hash, s.points), ("toy", "sha256:5eed", 360))
        self.assertEqual([p.levels for p in s.parameters], [4, 15, 3, 2, None, None, 5])
        self.assertEqual(s.objectives, [("seconds", "min"), ("quality", "max")])
        with self.assertRaisesRegex(strata.StrataError, "unknown-value at /space.*toy"):
            self.oracle.space("wrong")
        for objectives, what in (([("seconds", "least")], "min or max"), ([], "no objectives")):
            with self.assertRaisesRegex(strata.StrataError, what):
                self.oracle.space("toy", objectives=objectives)
        with self.assertRaisesRegex(strata.StrataError, "no figure latency .*there are .*joules.*quality.*seconds"):
            self.oracle.space("toy", objectives=["latency"]).rate([self.feasible_point()])

    def test_genes(self):
        rng = random.Random(1)
        for _ in range(200):
            point = self.space.sample(rng)
            again = self.space.point(self.space.genes(point))
            for name, v in point.items():
                if isinstance(v, float):
                    self.assertAlmostEqual(again[name], v, 9)
                else:
                    self.assertEqual(again[name], v)
        for gene in (-1e9, -1, 0, 0.3, 1, 1e9):
            for p in self.space.parameters:
                v = p.value(gene)
                self.assertTrue(v in p.values if p.values else p.low <= v <= p.high)
        wide = strata.Parameter({"name": "w", "type": "int", "low": 1, "high": 1024, "log": True})
        self.assertEqual([wide.value(g) for g in (0, 0.5, 1)], [1, 32, 1024])
        with self.assertRaisesRegex(strata.StrataError, "neither values nor low"):
            strata.Parameter({"name": "w", "type": "int"})

    def test_rate(self):
        good, beyond, constraint, unfit, wrong = self.space.rate([
            self.feasible_point(), self.feasible_point(layers=28, width=1.5),
            self.feasible_point(hidden=2048, layers=30), self.feasible_point(norm="none", layers=22), self.feasible_point(hidden=700)])
        self.assertEqual(self.space.violation_names, ["joules", "seconds", "hidden * layers <= 40000", "answered"])
        self.assertTrue(good.feasible and good.violation == 0 and all(v < 0 for v in good.violations[:3]))
        self.assertEqual(good.costs, [good.values[0], -good.values[1]])
        self.assertTrue(beyond.values and not beyond.feasible and beyond.violations[1] > 0)
        self.assertEqual((constraint.values, constraint.estimate.error.code), (None, "constraint"))
        self.assertAlmostEqual(constraint.violation, 61440 / 40000 - 1)
        self.assertEqual((unfit.values, unfit.violations), (None, [0.0, 0.0, 0.0, 1.0]))
        self.assertEqual((wrong.estimate.status, wrong.violation), ("invalid", 1.0))
        self.assertGreater(constraint.penalised[0], beyond.penalised[0])
        self.assertLess(constraint.penalised[1], beyond.penalised[1])
        self.assertEqual(strata.pareto([good, beyond, constraint, unfit, wrong]), [good])

    def test_metrics(self):
        """Candidates have the figures that are needed, all if the oracle cannot choose; estimates have all."""
        point = self.feasible_point()
        self.assertNotIn("joules", self.space.rate([point])[0].estimate)
        self.assertIn("joules", self.oracle.space("toy", metrics=["joules"]).rate([point])[0].estimate)
        self.assertIn("joules", self.space.estimate(point))
        space = self.oracle.space("toy", metrics=["nonsense", "joules", "more"])
        self.assertIn("joules", space.rate([point])[0].estimate)
        self.assertEqual(space._metrics, ["seconds", "joules"])
        space = self.oracle.space("toy", bare=True)  # columns are in whole answers alone
        self.assertIn("joules", space.rate([point])[0].estimate)
        space = self.oracle.space("toy", old=True)
        self.assertIn("joules", space.rate([point])[0].estimate)
        self.assertIsNone(space._metrics)
        self.assertEqual(self.oracle.space("toy", objectives=["layers"]).rate([point])[0].values, [8])

    def test_mistakes_are_loud(self):
        space = self.oracle.space("toy")
        with self.assertRaisesRegex(strata.StrataError, "invalid, range at /point/hidden"):
            space.rate([self.feasible_point(hidden=3)] * 5)
        space.rate([self.feasible_point()])
        self.assertFalse(space.rate([self.feasible_point(hidden=3)])[0].feasible)

    def test_forgotten(self):
        """A process that was started anew does not know the space."""
        before = self.space.estimate(self.feasible_point())
        self.oracle._way.child.kill()
        with self.assertWarns(RuntimeWarning):
            after = self.space.estimates([self.feasible_point()] * 3)
        self.assertEqual(after, [before] * 3)
        copy = pickle.loads(pickle.dumps(self.space))
        self.assertEqual(copy.estimate(self.feasible_point()), before)
        copy.oracle.close()

    def test_pareto(self):
        rng = random.Random(3)
        candidates = self.space.rate([self.space.sample(rng) for _ in range(300)])
        front = strata.pareto(candidates)
        feasible = [c for c in candidates if c.feasible]
        self.assertGreater(len(front), 3)
        for c in feasible:
            better = [f for f in feasible if all(a <= b for a, b in zip(f.costs, c.costs)) and f.costs != c.costs]
            self.assertEqual(not better, any(f.costs == c.costs for f in front))


class RealSpaces(unittest.TestCase):
    """Spaces of the program under test."""

    def test_shipped(self):
        with strata.Oracle() as oracle:
            space = oracle.space("llama-like", limits={"seconds": 0.003})
            self.assertEqual(space.points, math.prod(p.levels for p in space.parameters))
            rng = random.Random(1)
            points = [space.sample(rng) for _ in range(200)]
            candidates = space.rate(points)
            states = collections.Counter(c.estimate.error.code if c.estimate.error else "ok" for c in candidates)
            self.assertEqual(set(states), {"ok", "constraint"})
            for c in candidates:
                if c.values:
                    self.assertEqual(c.feasible, c.values[0] <= 0.003)
                    whole = space.estimate(c.point)
                    self.assertEqual(c.values, [whole.seconds, whole.columns["loss_proxy"]])
                else:
                    self.assertGreater(c.violations[space.violation_names.index(space.constraints[0])], 0)
            self.assertTrue(any(c.values and not c.feasible for c in candidates))
            oracle._way.child.kill()
            with self.assertWarns(RuntimeWarning):  # and the new process is told of the space
                again = space.rate(points[:5])
            self.assertEqual([c.estimate for c in again], [c.estimate for c in candidates[:5]])
            copy = pickle.loads(pickle.dumps(space))
            self.assertEqual(copy.estimate(points[0]), space.estimate(points[0]))
            copy.oracle.close()
            with self.assertRaisesRegex(strata.StrataError, "no figure nonsense.*loss_proxy.*seconds"):
                oracle.space("llama-like", objectives=["seconds", "nonsense"]).rate(points[:1])
            with self.assertRaisesRegex(strata.StrataError, "unknown-space at /space.*llama-like"):
                oracle.space("lama-like")

    def test_all_shipped(self):
        with strata.Oracle() as oracle:
            for name in ("hw-gpt-bench-s", "moe-like"):
                space = oracle.space(name)
                rng = random.Random(2)
                candidates = space.rate([space.sample(rng) for _ in range(50)])
                self.assertLessEqual({c.estimate.status for c in candidates}, {"ok", "infeasible"})
                self.assertGreater(len(strata.pareto(candidates)), 1)

    def test_files_and_conditions(self):
        text = """
name: mine
arch: h100-sxm
model: llama2-7b
workload: {phase: decode, prompt: 2048, fidelity: analytic}
axes:
  - {path: "chip.memory[hbm].bandwidth", name: hbm, range: {from: 2 TB/s, to: 5 TB/s, step: 500 GB/s}}
  - {path: chip.clock, name: clock, log: {from: 1 GHz, to: 2 GHz}}
  - {path: batch, log: {from: 1, to: 256, factor: 4}}
  - {path: prefetch, values: [0, 1], when: "batch > 16"}
constraints: ["tpot_seconds < 0.02"]
columns: {edp: joules * seconds}
objectives: [{column: tokens_per_second}, {column: edp}]
"""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "space.yaml")
            path.write_text(text)
            with serving() as server, strata.Oracle() as near, strata.Oracle(url=server.where["url"]) as far:
                spaces = [near.space(str(path)), near.space(path), far.space(str(path)), far.space({"yaml": text})]
                self.assertEqual(len({s.hash for s in spaces}), 1)
                self.assertEqual(spaces[0].objectives, [("tokens_per_second", "max"), ("edp", "min")])
                self.assertEqual([p.levels for p in spaces[0].parameters], [7, None, 5, 2])
                rng = random.Random(3)
                points = [spaces[0].sample(rng) for _ in range(60)]
                rated = [s.rate(points) for s in spaces]
            for other in rated[1:]:
                self.assertEqual([(c.estimate, c.values, c.violations) for c in other], [(c.estimate, c.values, c.violations) for c in rated[0]])
            self.assertTrue(any(c.feasible for c in rated[0]) and any(not c.feasible for c in rated[0]))
            with strata.Oracle() as oracle, self.assertRaisesRegex(strata.StrataError, "nowhere.yaml: .*No such file"):
                oracle.space(pathlib.Path("nowhere.yaml"))


@unittest.skipIf(missing("optuna"), "Optuna is not installed (Debian: python3-optuna)")
class Optuna(Toy):
    def setUp(self):
        super().setUp()
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        self.addCleanup(warnings.resetwarnings)
        self.optuna = optuna

    def study(self, sampler="nsga", seed=1):
        s = self.optuna.samplers
        constraints = strata.optuna_constraints(self.space)
        sampler = s.NSGAIISampler(seed=seed, population_size=30, constraints_func=constraints) if sampler == "nsga" else s.TPESampler(seed=seed, constraints_func=constraints)
        return self.optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)

    def test_nsga(self):
        fronts = []
        for _ in range(2):
            study = self.study()
            candidates = strata.optuna_optimize(study, self.space, 300, batch=30)
            self.assertEqual(len(candidates), 300)
            states = collections.Counter(t.state.name for t in study.trials)
            self.assertEqual(set(states), {"COMPLETE", "FAIL"})
            self.assertEqual(states["FAIL"], sum(c.values is None for c in candidates))
            for t, c in zip(study.trials, candidates):
                self.assertEqual(t.params, c.point)
                self.assertEqual(t.values, c.values)
                self.assertEqual("strata_error" in t.user_attrs, not c.estimate.ok)
            late = [c.feasible for c in candidates[-100:]]
            self.assertGreater(sum(late), sum(c.feasible for c in candidates[:100]))
            fronts.append([c.values for c in strata.pareto(candidates)])
        self.assertEqual(*fronts)
        self.assertTrue(all(v[0] <= 0.035 for v in fronts[0]))

    def test_penalty(self):
        study = self.study()
        candidates = strata.optuna_optimize(study, self.space, 120, batch=30, infeasible="penalty")
        self.assertEqual({t.state.name for t in study.trials}, {"COMPLETE"})
        self.assertTrue(all(math.isfinite(v) for t in study.trials for v in t.values))
        self.assertTrue(any(c.values is None for c in candidates))
        self.assertTrue(all(abs(t.values[0]) < strata.PENALTY for t in study.best_trials))
        with self.assertRaisesRegex(strata.StrataError, "fail.*penalty"):
            strata.optuna_optimize(study, self.space, 1, infeasible="drop")

    def test_tpe(self):
        study = self.study("tpe")
        strata.optuna_optimize(study, self.space, 40, batch=8)
        self.assertEqual(len(study.trials), 40)

    def test_objective(self):
        study = self.study()
        study.optimize(strata.optuna_objective(self.space), n_trials=60)
        states = collections.Counter(t.state.name for t in study.trials)
        self.assertEqual(set(states), {"COMPLETE", "PRUNED"})
        pruned = next(t for t in study.trials if t.state.name == "PRUNED")
        self.assertIn("infeasible", pruned.user_attrs["strata_error"])
        single = self.oracle.space("toy", objectives=["seconds"])
        study = self.optuna.create_study(sampler=self.optuna.samplers.RandomSampler(seed=1))
        study.optimize(strata.optuna_objective(single), n_trials=10, n_jobs=4)
        self.assertGreater(study.best_value, 0)

    def test_constraints_of_any_trial(self):
        """Never NaN, never an exception, always as many: also of trials that failed or are another's."""
        constraints = strata.optuna_constraints(self.space)
        names = len(self.space.violation_names)
        attrs = [{}, {"strata_violations": None}, {"strata_violations": [1]}, {"strata_violations": [math.nan] * names},
                 {"strata_violations": ["x"] * names}, {"strata_violations": "x" * names}]
        for a in attrs:
            self.assertEqual(constraints(types.SimpleNamespace(user_attrs=a)), (0.0,) * (names - 1) + (1.0,))
        self.assertEqual(constraints(types.SimpleNamespace(user_attrs={"strata_violations": [0.5] * names})), (0.5,) * names)

    def test_nothing_stays_running(self):
        study = self.study()
        space = self.oracle.space("toy", objectives=["seconds", ("nonsense", "max")])
        with self.assertRaisesRegex(strata.StrataError, "no figure nonsense"):
            strata.optuna_optimize(study, space, 20, batch=10)
        self.assertEqual({t.state.name for t in study.trials}, {"FAIL"})
        with self.assertRaisesRegex(strata.StrataError, "the study goes MINIMIZE, MAXIMIZE, the space MINIMIZE"):
            strata.optuna_optimize(study, self.oracle.space("toy", objectives=["seconds"]), 20)


@unittest.skipIf(missing("deap"), "DEAP is not installed (Debian: python3-deap)")
class Deap(Toy):
    def evolve(self, generations=12, size=40):
        from deap import algorithms, tools

        random.seed(7)
        toolbox = strata.deap_toolbox(self.space)
        asked = []
        estimates = self.oracle.estimates
        self.oracle.estimates = lambda requests: asked.append(len(requests)) or estimates(requests)
        population = toolbox.population(size)
        found = []
        for i, f in zip(population, toolbox.map(toolbox.evaluate, population)):
            i.fitness.values = f
        population = toolbox.select(population, size)
        for _ in range(generations):
            children_ = [toolbox.clone(i) for i in tools.selTournamentDCD(population, size)]
            children_ = algorithms.varAnd(children_, toolbox, 0.9, 0.5)
            new = [i for i in children_ if not i.fitness.valid]
            for i, f in zip(new, toolbox.map(toolbox.evaluate, new)):
                i.fitness.values = f
            found += [i.candidate for i in new]
            population = toolbox.select(population + children_, size)
        del self.oracle.estimates
        self.assertEqual(len(asked), generations + 1)
        return toolbox, population, found

    def test_nsga(self):
        toolbox, population, found = self.evolve()
        self.assertTrue(all(i.candidate.feasible for i in population))
        self.assertTrue(any(not c.feasible for c in found))
        for c in found:
            for p in self.space.parameters:
                self.assertTrue(c.point[p.name] in p.values if p.values else p.low <= c.point[p.name] <= p.high)
        front = strata.pareto(i.candidate for i in population)
        self.assertGreater(len(front), 5)
        again = self.evolve()[1]
        self.assertEqual([list(i) for i in again], [list(i) for i in population])
        i = pickle.loads(pickle.dumps(population[0]))
        self.assertEqual((list(i), i.fitness.values), (list(population[0]), population[0].fitness.values))
        self.assertEqual(toolbox.evaluate(i), population[0].fitness.values)
        self.assertEqual(list(toolbox.map(lambda x: 2 * x, [1, 2])), [2, 4])

    def test_decorated(self):
        """An evaluate with decorators is called for each individual, so that they are not passed over."""
        toolbox = strata.deap_toolbox(self.space)
        calls = []
        toolbox.decorate("evaluate", lambda f: lambda i: calls.append(i) or f(i))
        fits = list(toolbox.map(toolbox.evaluate, toolbox.population(5)))
        self.assertEqual((len(calls), len(fits)), (5, 5))


@unittest.skipIf(missing("numpy"), "numpy is not installed")
class Pymoo(Toy):
    """A stand-in for pymoo's Problem: what it takes, and the shapes that it wants back."""

    def setUp(self):
        super().setUp()

        class Problem:
            def __init__(self, n_var=-1, n_obj=1, n_ieq_constr=0, n_eq_constr=0, xl=None, xu=None, vtype=None, **kwargs):
                assert not kwargs
                self.n_var, self.n_obj, self.n_ieq_constr, self.xl, self.xu, self.vtype = n_var, n_obj, n_ieq_constr, xl, xu, vtype

            def evaluate(self, X):
                out = {}
                self._evaluate(X, out)
                assert out["F"].shape == (len(X), self.n_obj) and out["G"].shape == (len(X), self.n_ieq_constr)
                return out["F"], out["G"]

        module = types.ModuleType("pymoo.core.problem")
        module.Problem = Problem
        for name, m in (("pymoo", types.ModuleType("pymoo")), ("pymoo.core", types.ModuleType("pymoo.core")), ("pymoo.core.problem", module)):
            old = sys.modules.get(name)
            sys.modules[name] = m
            self.addCleanup(lambda name=name, old=old: sys.modules.pop(name) if old is None else sys.modules.update({name: old}))

    def test_problem(self):
        import numpy

        problem = strata.pymoo_problem(self.space)
        self.assertEqual((problem.n_var, problem.n_obj, problem.n_ieq_constr, problem.vtype), (7, 2, 4, float))
        rng = numpy.random.default_rng(1)
        X = problem.xl + rng.random((50, 7)) * (problem.xu - problem.xl)
        F, G = problem.evaluate(X)
        self.assertTrue(numpy.isfinite(F).all() and numpy.isfinite(G).all())
        for x, f, g in zip(X, F, G):
            c = self.space.rate([self.space.point(x)])[0]
            self.assertEqual((g <= 0).all(), c.feasible)
            if c.values:
                self.assertEqual(list(f), c.costs)
        self.assertTrue((G <= 0).all(1).any() and (G > 0).any())


class Documents(unittest.TestCase):
    def run_page(self, page, names):
        """Runs the python blocks of a page one after the other, but for those marked notest. A text block marked output is what the
        one before it prints."""
        text = (ROOT / page).read_text(encoding="utf-8")
        blocks = list(re.finditer(r"^```(\w+)([^\n]*)\n(.*?)^```$", text, re.M | re.S))
        ran, printed = 0, ""
        with tempfile.TemporaryDirectory() as folder:
            before = os.getcwd()
            os.chdir(folder)
            try:
                for b in blocks:
                    line = text.count("\n", 0, b.start()) + 2
                    if b[1] == "text" and "output" in b[2].split():
                        self.assertEqual(printed, b[3], f"{page}:{line}")
                    if b[1] != "python" or "notest" in b[2].split():
                        continue
                    lacks = missing(*(n for n in ("optuna", "deap", "pymoo") if re.search(rf"\b{n}\b(?!_)", b[3])))
                    if lacks:
                        print(f"{page}:{line}: skipped, {', '.join(lacks)} is not installed")
                        continue
                    out = io.StringIO()
                    with contextlib.redirect_stdout(out), warnings.catch_warnings():
                        warnings.simplefilter("ignore")  # Optuna calls constraints experimental
                        exec(compile("\n" * (line - 1) + b[3], str(ROOT / page), "exec"), names)
                    printed = out.getvalue()
                    ran += 1
            finally:
                os.chdir(before)
                for v in names.values():
                    if isinstance(v, strata.Oracle):
                        v.close()
        return ran

    def test_page(self):
        self.assertGreater(self.run_page("docs/python.md", {}), 2)

    def test_examples(self):
        """Each prints a front, the same each time, from a process and from a server."""
        for name, library, few in (("nas_optuna", "optuna", "--trials=120"), ("nas_deap", "deap", "--generations=5")):
            with self.subTest(name):
                if missing(library):
                    self.skipTest(f"{library} is not installed")
                with serving() as server:
                    runs = [subprocess.run([sys.executable, str(ROOT / "examples" / (name + ".py")), "--seed=3", few, *more], timeout=60, text=True,
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE) for more in ([], ["--url", server.where["url"]])]
                self.assertEqual([(r.returncode, r.stderr) for r in runs], [(0, "")] * 2)
                self.assertEqual(runs[0].stdout, runs[1].stdout)
                title, _, head, *rows = runs[0].stdout.splitlines()
                self.assertRegex(title, r"[1-9]\d* are dominated by no other")
                self.assertGreater(len(rows), 8)
                self.assertEqual({len(r) for r in rows}, {len(head)})

    def test_readme(self):
        self.assertGreater(self.run_page("README.md", {}), 0)

    def test_doctests(self):
        failed, tried = doctest.testmod(strata, verbose=False)
        self.assertEqual(failed, 0)
        self.assertGreater(tried, 10)


if __name__ == "__main__":
    unittest.main()
