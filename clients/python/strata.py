"""Strata from Python: the cost of models on machines, for searches.

One file, standard library only, Python 3.9 or newer: copy it beside your program, or put its folder on PYTHONPATH.

    >>> import strata
    >>> with strata.Oracle(arch="a100-sxm-80gb") as oracle:
    ...     answer = oracle.estimate({"model": "llama2-7b", "phase": "decode", "batch": 8, "past_len": 2048})
    ...     print(answer.status, answer["bound_by"], answer.seconds < 0.1)
    ok hbm True

An Oracle asks the program `strata estimate`, which it starts, or a server of `strata oracle serve`, by its url. Requests and
answers are those of docs/estimate.md. Adapters for Optuna, DEAP and pymoo are at the end; none of them is imported before it is used.
"""

from __future__ import annotations

import collections
import collections.abc
import concurrent.futures
import email.utils
import hashlib
import http.client
import json
import math
import os
import random
import re
import select
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import uuid
import warnings
import weakref
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

__all__ = [
    "Oracle", "Estimate", "StrataError", "StrataTimeout", "Space", "Parameter", "llama", "pareto",
    "optuna_suggest", "optuna_objective", "optuna_constraints", "optuna_optimize", "deap_toolbox", "pymoo_problem",
]

MAX_LINE = 1 << 20  # bytes of a request, docs/estimate.md#lines
MAX_BODY = 900_000  # bytes of a batch over HTTP, below what the server takes
RESTARTS = 1  # of a process that ended, for each call
RETRIES = 4  # of a request whose connection failed
BACKOFF = 0.05  # seconds before the second of these tries, doubled for each further one
STREAMS = 4  # batches of one call that are on their way over HTTP at a time
PENALTY = 1e30  # of an objective that has no value, times 1 + violation: beyond all that can be feasible


class StrataError(Exception):
    """A request was not answered, or its answer is an error.

    status and code are those of docs/estimate.md#errors; a transport that failed has status "error" and one of the codes
    "no-binary", "process", "connection", "http", "protocol" and "timeout". path points into the request.

    >>> raise StrataError("does not fit", status="infeasible", code="does-not-fit", path="/model", hint="use more chips")
    Traceback (most recent call last):
    strata.StrataError: infeasible, does-not-fit at /model: does not fit (use more chips)
    """

    def __init__(self, message: str, *, status: str = "error", code: str = "internal", path: str = "", hint: str = ""):
        super().__init__(message)
        self.message, self.status, self.code, self.path, self.hint = message, status, code, path, hint

    def __str__(self) -> str:
        at = f" at {self.path}" if self.path else ""
        return f"{self.status}, {self.code}{at}: {self.message}" + (f" ({self.hint})" if self.hint else "")

    def __reduce__(self):
        return _error, (type(self), self.message, self.status, self.code, self.path, self.hint)


class StrataTimeout(StrataError, TimeoutError):
    """Nothing came from the oracle for its timeout."""


def _error(kind, message, status, code, path, hint):
    return kind(message, status=status, code=code, path=path, hint=hint)


class Estimate(dict):
    """The answer to one request: the object of docs/estimate.md with its usual members as attributes.

    What an answer does not have is None or empty, never NaN.

    >>> e = Estimate({"status": "ok", "seconds": 0.015, "violations": {"seconds": -0.7}})
    >>> e.seconds, e.joules, e.feasible
    (0.015, None, True)
    """

    __slots__ = ()

    @property
    def status(self) -> str:
        """ok, infeasible, invalid, unsupported, timeout or error."""
        return self.get("status", "error")

    @property
    def ok(self) -> bool:
        """There are figures. They may still be beyond the limits of the request, see feasible."""
        return self.status == "ok"

    @property
    def feasible(self) -> bool:
        """There are figures, and none is beyond its limit."""
        return self.ok and all(v <= 0 for v in self.violations.values())

    @property
    def seconds(self) -> Optional[float]:
        """The time."""
        return self.get("seconds")

    @property
    def joules(self) -> Optional[float]:
        """The energy of all chips."""
        return self.get("joules")

    @property
    def violations(self) -> Dict[str, float]:
        """By how much of its limit each figure is beyond it; at most 0 where it is kept."""
        return self.get("violations") or {}

    @property
    def columns(self) -> Dict[str, Any]:
        """The columns of a point of a space."""
        return self.get("columns") or {}

    @property
    def error(self) -> Optional[StrataError]:
        """What is wrong, None if nothing is."""
        if self.ok:
            return None
        e = self.get("error") or {}
        return StrataError(e.get("message", "no reason was given"), status=self.status, code=e.get("code", "internal"),
                           path=e.get("path", ""), hint=e.get("hint", ""))

    def check(self) -> "Estimate":
        """The answer itself, if its status is ok.

        Raises StrataError if not.
        """
        if not self.ok:
            raise self.error
        return self


def llama(hidden_size: int = 4096, num_hidden_layers: int = 32, *, intermediate_size: Optional[int] = None,
          num_attention_heads: Optional[int] = None, num_key_value_heads: Optional[int] = None, vocab_size: int = 32000,
          max_position_embeddings: int = 4096, **more: Any) -> Dict[str, Any]:
    """The Hugging Face configuration of a model like Llama, with other members added by name.

    If left out, the feed-forward network is 8/3 as wide as the model, rounded up to 256, heads have 128 elements, and each has
    keys of its own.

    >>> config = llama(2048, 16, num_key_value_heads=4)
    >>> config["intermediate_size"], config["num_attention_heads"]
    (5632, 16)
    """
    if intermediate_size is None:
        intermediate_size = -(-8 * hidden_size // (3 * 256)) * 256
    if num_attention_heads is None:
        num_attention_heads = max(1, hidden_size // 128)
    if num_key_value_heads is None:
        num_key_value_heads = num_attention_heads
    return {
        "model_type": "llama", "hidden_size": hidden_size, "intermediate_size": intermediate_size, "num_hidden_layers": num_hidden_layers,
        "num_attention_heads": num_attention_heads, "num_key_value_heads": num_key_value_heads, "vocab_size": vocab_size,
        "max_position_embeddings": max_position_embeddings, **more,
    }


# --- Requests as text ---


def _plain(v: Any) -> Any:
    """What json cannot write: configurations of transformers, numbers of numpy, paths."""
    if hasattr(v, "to_dict"):
        return v.to_dict()
    if hasattr(v, "tolist"):
        return v.tolist()
    if hasattr(v, "item"):
        return v.item()
    if isinstance(v, os.PathLike):
        return os.fspath(v)
    if isinstance(v, collections.abc.Mapping):
        return dict(v)
    if isinstance(v, (set, frozenset)):
        return sorted(v)
    raise TypeError(f"{type(v).__name__} is not JSON")


def _text(request: Any) -> bytes:
    """A request as one line of JSON, without its end."""
    try:
        return json.dumps(request, separators=(",", ":"), allow_nan=False, default=_plain).encode()
    except (TypeError, ValueError, RecursionError) as e:
        raise StrataError(f"a request that is not JSON: {e}", status="invalid", code="syntax") from None


def _config(path: "os.PathLike[str]") -> Any:
    """A config.json, or that of a folder."""
    path = os.fspath(path)
    if os.path.isdir(path):
        path = os.path.join(path, "config.json")
    try:
        with open(path, encoding="utf-8") as f:
            return json.load(f)
    except (OSError, ValueError) as e:
        raise StrataError(f"{path}: {e}", status="invalid", code="unknown-model", path="/model") from None


def _not_a_number(name: str) -> Any:
    raise ValueError(name)


_decoder = json.JSONDecoder(parse_constant=_not_a_number)


def _parse(text: bytes) -> Any:
    try:
        return _decoder.decode(text.decode())
    except ValueError:
        raise StrataError(f"not JSON: {text[:200]!r}", code="protocol", hint="is that Strata?") from None


def _estimate(v: Any) -> Estimate:
    if not isinstance(v, dict) or "status" not in v:
        raise StrataError(f"not an answer: {json.dumps(v)[:200]}", code="protocol", hint="is that Strata?")
    return Estimate(v)


# --- A process ---


class _Lost(Exception):
    """The process ended; answers are those that came before it did."""

    def __init__(self, why: str):
        super().__init__(why)
        self.answers: List[Estimate] = []


class _Ticket:
    """The answers that one call waits for."""

    __slots__ = ("want", "answers", "event", "thread", "failed")

    def __init__(self, want: int):
        self.want = want
        self.answers: List[Estimate] = []
        self.event = threading.Event()
        self.thread = threading.get_ident()
        self.failed: Optional[Exception] = None


def _end(child: subprocess.Popen, fds: Iterable[int], owner: int) -> None:
    """Ends a child and waits for it, unless this process is a copy of its owner."""
    if os.getpid() != owner:
        return
    for pipe in (child.stdin, child.stdout, child.stderr):
        pipe.close()
    for fd in fds:
        os.close(fd)
    if child.poll() is None:
        child.kill()
    child.wait()


class _Process:
    """A running `strata estimate`.

    Any number of threads ask at a time. Answers come in the order of the lines, so each call waits for its place in a queue. One of
    the waiting threads leads: it writes what all have asked and reads what has come, without ever blocking on one of the two, and hands
    over to another when its own answers are there. So there are no threads of our own, and a lone caller pays for none.
    """

    def __init__(self, argv: List[str], timeout: Optional[float]):
        try:
            # A session of its own: Ctrl-C is for this program, which then ends the child.
            self.child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, start_new_session=True)
        except OSError as e:
            raise StrataError(f"{argv[0]} cannot be started: {e.strerror}", code="no-binary") from None
        self._awake, self._wake = os.pipe()
        self.close = weakref.finalize(self, _end, self.child, (self._awake, self._wake), os.getpid())
        self.timeout = timeout
        self._stdin, self._stdout, self._stderr = (p.fileno() for p in (self.child.stdin, self.child.stdout, self.child.stderr))
        for fd in (self._stdin, self._stdout, self._stderr, self._awake, self._wake):
            os.set_blocking(fd, False)
        self._lock = threading.Lock()
        self._leader: Optional[int] = None  # the thread that alone uses the pipes
        self._pending: collections.deque = collections.deque()  # tickets, in the order of their lines
        self._out: collections.deque = collections.deque()  # what is still to be written
        self._part = b""  # of a line
        self._said = b""  # the end of standard error
        self._heard = 0.0  # when the last answer came, or the first request that waits
        self._dead: Optional[Exception] = None
        self._poll = select.poll()
        for fd in (self._stdout, self._stderr, self._awake):
            self._poll.register(fd, select.POLLIN)
        self._writing, self._listening = False, True  # stdin and stderr are registered

    def ask(self, lines: Sequence[bytes]) -> List[Estimate]:
        """Answers in the order of the lines. Raises _Lost, StrataTimeout, StrataError."""
        ticket = _Ticket(len(lines))
        text = memoryview(b"\n".join(lines) + b"\n")
        with self._lock:
            if self._dead:
                raise _Lost(str(self._dead))
            if not self._pending:
                self._heard = time.monotonic()
            self._pending.append(ticket)
            self._out.append(text)
            lead = self._leader is None
            if lead:
                self._leader = ticket.thread
            else:
                self._nudge()
        try:
            if not lead:
                ticket.event.wait()
            if self._leader == ticket.thread:
                self._lead(ticket)
        except BaseException as e:  # KeyboardInterrupt: how much was written and read is not known
            self.fail(e if isinstance(e, StrataError) else _Lost("interrupted"))
            raise
        if isinstance(ticket.failed, _Lost):
            lost = _Lost(str(ticket.failed))
            lost.answers = ticket.answers
            raise lost
        if ticket.failed:
            raise ticket.failed
        return ticket.answers

    def _nudge(self) -> None:
        """Lets the leader look up."""
        try:
            os.write(self._wake, b"x")
        except BlockingIOError:
            pass  # it has been nudged often enough

    def _lead(self, mine: _Ticket) -> None:
        while len(mine.answers) < mine.want and not mine.failed:
            self._write()
            left = None
            if self.timeout is not None:
                left = self._heard + self.timeout - time.monotonic()
                if left <= 0:
                    self.fail(StrataTimeout(f"no answer for {self.timeout:g} s", status="timeout", code="timeout",
                                            hint="the process was ended; the next request starts another"))
                    return
            for fd, _ in self._poll.poll(None if left is None else math.ceil(left * 1000)):
                if mine.failed:
                    break
                elif fd == self._stdout:
                    self._read()
                elif fd == self._stderr:
                    self._listen()
                elif fd == self._awake:
                    os.read(self._awake, 4096)
        if mine.failed:
            self.close()
            return
        with self._lock:
            self._leader = None
            if self._pending:  # all of them wait, the first for the longest time
                self._leader = self._pending[0].thread
                self._pending[0].event.set()

    def _write(self) -> None:
        while self._out:
            part = self._out[0]
            try:
                n = os.write(self._stdin, part[:1 << 16])
            except BlockingIOError:
                break
            except OSError:  # it ended; what it has written before can still be read
                self._out.clear()
                break
            if n < len(part):
                self._out[0] = part[n:]
            else:
                self._out.popleft()
        if bool(self._out) != self._writing:
            self._writing = not self._writing
            if self._writing:
                self._poll.register(self._stdin, select.POLLOUT)
            else:
                self._poll.unregister(self._stdin)

    def _read(self) -> None:
        try:
            new = os.read(self._stdout, 1 << 18)
        except BlockingIOError:
            return
        if not new:
            self._ended()
            return
        *lines, self._part = (self._part + new).split(b"\n")
        for line in lines:
            answer = _estimate(_parse(line))
            if not self._pending:
                raise StrataError("an answer to nothing", code="protocol")
            first = self._pending[0]
            first.answers.append(answer)
            if len(first.answers) == first.want:
                with self._lock:
                    self._pending.popleft()
                first.event.set()
        if lines:
            self._heard = time.monotonic()

    def _listen(self) -> bool:
        """Takes what standard error has, and tells whether there was anything."""
        try:
            new = os.read(self._stderr, 1 << 16)
        except BlockingIOError:
            return False
        self._said = (self._said + new)[-2000:]
        if not new and self._listening:
            self._poll.unregister(self._stderr)
            self._listening = False
        return bool(new)

    def _ended(self) -> None:
        """Standard output is at its end."""
        while self._listen():
            pass
        try:
            code = self.child.wait(1)
        except subprocess.TimeoutExpired:  # it closed its output, and lives
            self.child.kill()
            code = self.child.wait()
        why = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        said = self._said.decode(errors="replace").strip()
        self.fail(_Lost(why + (": " + said if said else "")))

    def fail(self, why: Exception) -> None:
        """All that wait are told why, and the process is ended."""
        with self._lock:
            self._dead = self._dead or why
            for t in self._pending:
                t.failed = why
                t.event.set()
            self._pending.clear()
            if self._leader not in (None, threading.get_ident()):
                self.child.kill()  # the leader finds its ticket failed and closes the pipes
                return
        self.close()

    def abandon(self) -> None:
        """In a copy of this process: closes what was copied, so that the child sees the end of its owner."""
        if self.close.detach():
            for pipe in (self.child.stdin, self.child.stdout, self.child.stderr):
                pipe.close()
            for fd in (self._awake, self._wake):
                os.close(fd)
            self.child.returncode = 0  # not ours to wait for


# --- A server ---


class _Socket(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: Optional[float]):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Server:
    """A server of `strata oracle serve`. Connections are kept, and used by one thread at a time."""

    def __init__(self, url: str, token: Optional[str], timeout: Optional[float]):
        self.url, self.timeout = url, timeout
        self._headers = {"Accept": "application/json"}
        if token:
            self._headers["Authorization"] = "Bearer " + token
        self._idle: List[http.client.HTTPConnection] = []  # a list's append and pop need no lock
        scheme, _, rest = url.partition(":")
        if scheme == "unix":
            path = re.sub("^//", "", rest)
            self._base = ""
            self._connect: Callable[[], http.client.HTTPConnection] = lambda: _Socket(path, timeout)
            return
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StrataError(f"not a url: {url!r}", status="invalid", code="value", hint='e.g. "http://127.0.0.1:8741" or "unix:oracle.sock"')
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._base = parts.path.rstrip("/")
        self._connect = lambda: kind(parts.hostname, parts.port, timeout=timeout)

    def ask(self, lines: Sequence[bytes]) -> List[Estimate]:
        """Answers in the order of the lines, which are one batch."""
        status, text = self.send("POST", "/v1/estimate", b"[" + b",".join(lines) + b"]")
        try:
            answers = _parse(text)
        except StrataError:
            if status == 200:
                raise
            answers = None
        code = _code(answers)
        if len(lines) > 1 and (status == 413 or code == "timeout"):  # fewer at a time, then
            half = len(lines) // 2
            return self.ask(lines[:half]) + self.ask(lines[half:])
        if status == 200 and isinstance(answers, list) and len(answers) == len(lines):
            return [_estimate(a) for a in answers]
        if status in (200, 400, 413) and code:  # it is no batch to the server: one line spoils it
            return [_estimate(answers)] if len(lines) == 1 else [a for line in lines for a in self.ask([line])]
        if code == "timeout":
            raise StrataTimeout(f"{self.url}: {answers['error'].get('message')}", status="timeout", code="timeout")
        raise self.refused(status, text)

    def refused(self, status: int, text: bytes) -> StrataError:
        message, hint = text.decode(errors="replace").strip()[:500], ""
        try:
            e = json.loads(text)
            e = e.get("error", e)
            message, hint = e.get("message", message), e.get("hint", "")
        except (ValueError, AttributeError):
            pass
        if status in (401, 403) and not hint:
            hint = "Oracle(url=…, token=…)"
        return StrataError(f"{self.url} answers {status}: {message}", code="http", hint=hint)

    def send(self, method: str, path: str, body: bytes, kind: str = "application/json") -> Tuple[int, bytes]:
        """The status and body of an answer.

        All requests are pure, so one whose connection failed is sent again, over a new one and RETRIES times at most. A server that
        is busy is asked again when it says, but not after the timeout.
        """
        end = math.inf if self.timeout is None else time.monotonic() + self.timeout
        failures = 0
        while True:
            try:
                connection, fresh = self._idle.pop(), False
            except IndexError:
                connection, fresh = self._connect(), True
            try:
                connection.request(method, self._base + path, body, {**self._headers, "Content-Type": kind})
                answer = connection.getresponse()
                text = answer.read()
            except (TimeoutError, socket.timeout):  # the same from Python 3.10 on
                connection.close()
                raise StrataTimeout(f"{self.url}: no answer for {self.timeout:g} s", status="timeout", code="timeout") from None
            except (http.client.HTTPException, OSError) as e:
                connection.close()
                # A connection that was kept may be at its end by the time it is used: that is no failure.
                failures += fresh
                if failures > RETRIES or time.monotonic() > end:
                    raise StrataError(f"{self.url}: {e or type(e).__name__}", code="connection", hint="is strata oracle serve running there?") from None
                if fresh:
                    time.sleep(BACKOFF * 2 ** (failures - 1))
                continue
            except BaseException:
                connection.close()
                raise
            if answer.will_close:
                connection.close()
            else:
                self._idle.append(connection)
            if answer.status in (429, 503) and not (answer.status == 503 and b'"code":"timeout"' in text):
                wait = _retry_after(answer.getheader("Retry-After"))
                if time.monotonic() + wait < end:
                    time.sleep(wait)
                    continue
            return answer.status, text

    def close(self) -> None:
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:
                pass

    abandon = close  # closing a copy of a socket leaves the connection alone


def _code(answer: Any) -> str:
    """The code of an error, "" if there is none."""
    error = answer.get("error") if isinstance(answer, dict) and "status" in answer else None
    return error.get("code", "") if isinstance(error, dict) else ""


def _retry_after(text: Optional[str]) -> float:
    """Seconds to wait, of a header that has them or a date; 1 if there is none."""
    try:
        return max(0.05, float(text))
    except (TypeError, ValueError):
        pass
    try:
        return max(0.05, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return 1.0


# --- The oracle ---

_oracles: "weakref.WeakSet[Oracle]" = weakref.WeakSet()


def _after_fork() -> None:
    for oracle in list(_oracles):
        oracle._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def find_binary(binary: Optional[str] = None) -> str:
    """The path of the program: binary if given, else $STRATA, else strata in PATH. Raises StrataError with code no-binary."""
    asked = binary or os.environ.get("STRATA") or "strata"
    found = shutil.which(asked)
    if found:
        return found
    how = "binary=" if binary else "$STRATA says" if os.environ.get("STRATA") else "in PATH:"
    raise StrataError(f"no program {how} {asked}", code="no-binary",
                      hint="build it with `go build -o strata ./cmd/strata`, then name it by Oracle(binary=…), by $STRATA or have it in PATH; "
                           "or Oracle(url=…)")


class Oracle:
    """Answers requests, by a process of its own or a server.

    binary is the program, found as by find_binary; it is started with the first request. Or url is a server of `strata oracle serve`,
    "http://127.0.0.1:8741" or "unix:PATH", and token what it asks for. arch is the machine of all requests that do not name one, and
    defaults are other members that they get unless they have them; points of spaces get neither. timeout is in seconds: how long
    nothing may come while an answer is waited for; None is for ever. batch is how many requests are one HTTP request. options are flags
    for `strata estimate`, such as ["--workers", "4"].

    Threads may share an oracle. It can be pickled, and used after a fork: in the other process it starts a program or connects anew,
    once for all copies that reach that process. Use it as a context manager or close it; if that is forgotten, its process ends with
    this one.

        >>> with Oracle(arch="tpu-v4", defaults={"fidelity": "analytic"}) as oracle:
        ...     answers = oracle.estimates([{"op": {"kind": "gemm", "m": 1024, "n": 1024, "k": k}} for k in (1024, 2048)] + [{}])
        >>> [a.status for a in answers], answers[0].seconds < answers[1].seconds, answers[2].error.code
        (['ok', 'ok', 'invalid'], True, 'missing')
    """

    def __init__(self, binary: Optional[str] = None, *, url: Optional[str] = None, token: Optional[str] = None, arch: Any = None,
                 defaults: Optional[Mapping[str, Any]] = None, timeout: Optional[float] = 300.0, batch: int = 256,
                 options: Sequence[str] = ()):
        if binary and url:
            raise StrataError("binary and url are two ways to the same", status="invalid", code="conflict")
        if timeout is not None and not timeout > 0:
            raise StrataError(f"timeout must be above 0, is {timeout}", status="invalid", code="range")
        if batch < 1:
            raise StrataError(f"batch must be at least 1, is {batch}", status="invalid", code="range")
        self.binary, self.url, self.token, self.timeout, self.batch = binary, url, token, timeout, batch
        self.arch, self.defaults, self.options = arch, dict(defaults or {}), tuple(options)
        if url:
            _Server(url, token, timeout)  # complains now about what is no url
        self._begin(uuid.uuid4().hex)

    def _begin(self, origin: str) -> None:
        self._origin = origin  # the same for all copies
        self._lock = threading.Lock()
        self._way: Union[_Process, _Server, None] = None
        self._closed = False
        self._machines: Dict[str, Tuple[str, bytes]] = {}  # ids and texts of machine files for a server, by path: each is read once
        _oracles.add(self)

    def _settings(self) -> Dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if not k.startswith("_")}

    def __reduce__(self):
        return _copied, (self._origin, self._settings())

    def _forked(self) -> None:
        self._lock = threading.Lock()  # another thread may have held the old one
        way, self._way = self._way, None
        if way:
            way.abandon()

    def __enter__(self) -> "Oracle":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Oracle({self.url or self.binary or 'strata'!r})"

    def close(self) -> None:
        """Ends the process or the connections. Requests that wait are answered by StrataError."""
        with self._lock:
            self._closed = True
            way, self._way = self._way, None
        if isinstance(way, _Process):
            way.fail(_Lost("closed"))
        elif way:
            way.close()

    def _opened(self) -> Union[_Process, _Server]:
        with self._lock:
            if self._closed:
                raise StrataError("this oracle is closed", code="closed")
            if not self._way:
                if self.url:
                    self._way = _Server(self.url, self.token, self.timeout)
                elif not hasattr(select, "poll"):
                    raise StrataError("a process can be asked on Linux, macOS and other POSIX systems only", code="no-binary",
                                      hint="start `strata oracle serve` and use Oracle(url=…)")
                else:
                    self._way = _Process([find_binary(self.binary), "estimate", *self.options], self.timeout)
            return self._way

    def _drop(self, way: _Process) -> bool:
        """Forgets a process that ended. True if no other thread did before."""
        with self._lock:
            first = self._way is way
            if first:
                self._way = None
            return first

    def request(self, request: Mapping[str, Any]) -> Dict[str, Any]:
        """The request with defaults, as it is sent.

        A model may be a preset by name, a Hugging Face configuration as a dict, as an object with to_dict or with a config that has it, or
        the pathlib.Path of one; arch the pathlib.Path of a machine file.

        >>> Oracle(arch="a100-sxm-80gb", defaults={"phase": "decode"}).request({"model": "llama2-7b"})
        {'phase': 'decode', 'arch': 'a100-sxm-80gb', 'model': 'llama2-7b'}
        """
        if not isinstance(request, collections.abc.Mapping):
            raise StrataError(f"a request is a dict, not {type(request).__name__}", status="invalid", code="type")
        full = {} if "space" in request else dict(self.defaults)  # a space says all itself
        if self.arch is not None and ("op" in request or "model" in request):
            full["arch"] = self.arch
        full.update(request)
        if self.url and isinstance(full.get("arch"), os.PathLike):
            full["arch"] = self._machine(os.fspath(full["arch"]))
        for name in ("model", "draft"):
            model = full.get(name)
            if isinstance(model, os.PathLike):  # read here: a server reads no files
                full[name] = _config(model)
            elif model is not None and not hasattr(model, "to_dict") and hasattr(getattr(model, "config", None), "to_dict"):
                full[name] = model.config
        return full

    def _machine(self, path: str) -> str:
        """The id that a server gives a machine file: it reads none, and is sent this one when it does not know it."""
        if path not in self._machines:
            try:
                with open(path, "rb") as f:
                    text = f.read()
            except OSError as e:
                raise StrataError(f"{path}: {e.strerror}", status="invalid", code="unknown-arch", path="/arch") from None
            self._machines[path] = "sha256:" + hashlib.sha256(text).hexdigest(), text
        return self._machines[path][0]

    def estimate(self, request: Mapping[str, Any]) -> Estimate:
        """The answer to one request. What is wrong with the request is in the answer; StrataError means that there is none."""
        return self._ask([_text(self.request(request))])[0]

    def estimates(self, requests: Iterable[Mapping[str, Any]]) -> List[Estimate]:
        """The answers to many requests, in their order."""
        return self._ask([_text(self.request(r)) for r in requests])

    def _ask(self, lines: List[bytes]) -> List[Estimate]:
        if not lines:
            return []
        if self.url:
            return self._ask_server(lines)
        answers: List[Estimate] = []
        for restarts in range(RESTARTS + 1):
            way = self._opened()
            try:
                return answers + way.ask(lines[len(answers):])
            except _Lost as lost:
                why, left = lost, len(lines) - len(answers) - len(lost.answers)
                answers += lost.answers
                if self._drop(way) and restarts < RESTARTS:
                    warnings.warn(f"strata estimate ended ({why}); it is started again and {left} requests are asked again", RuntimeWarning, stacklevel=3)
            except BaseException:
                self._drop(way)
                raise
        raise StrataError(f"strata estimate ended again ({why}), with {left} requests unanswered", code="process")

    def _ask_server(self, lines: List[bytes]) -> List[Estimate]:
        way = self._opened()
        answers = self._batches(way, lines)
        lost = [i for i, a in enumerate(answers) if self._machines and a.error and a.error.code == "unknown-arch"]
        if lost:
            for path, (_, text) in list(self._machines.items()):
                status, said = way.send("POST", "/v1/archs", text, "application/yaml")
                if status == 422:
                    self._machines.pop(path, None)
                    faults = "; ".join(f"line {p['line']}: {p['path']}: {p['message']}" for p in _parse(said).get("problems", [])[:5])
                    raise StrataError(f"{path}: {faults}", status="invalid", code="unknown-arch", path="/arch")
                if status >= 300:
                    raise way.refused(status, said)
            for i, a in zip(lost, self._batches(way, [lines[i] for i in lost])):
                answers[i] = a
        return answers

    def _batches(self, way: _Server, lines: List[bytes]) -> List[Estimate]:
        batches: List[List[bytes]] = [[]]
        size = 0
        for line in lines:
            if batches[-1] and (len(batches[-1]) == self.batch or size + len(line) > MAX_BODY):
                batches.append([])
                size = 0
            batches[-1].append(line)
            size += len(line) + 1
        if len(batches) == 1:
            return way.ask(lines)
        with concurrent.futures.ThreadPoolExecutor(min(STREAMS, len(batches))) as team:
            return [a for answers in team.map(way.ask, batches) for a in answers]

    def space(self, definition: Any, *, objectives: Optional[Sequence[Any]] = None, limits: Optional[Mapping[str, float]] = None,
              **members: Any) -> "Space":
        """A search space: a preset such as "llama-like", a sweep file by its path, or its content as a dict.

        objectives stand in place of those of the space: names of figures, columns or parameters, each alone or as ("name", "max").
        limits and members are added to the request of every point. Candidates have the figures that objectives need, and those of the
        member metrics. Raises StrataError if the space is wrong.
        """
        if isinstance(definition, os.PathLike) or self.url and isinstance(definition, str) and os.path.isfile(definition):
            try:  # read here: a server reads no files
                with open(definition, encoding="utf-8") as f:
                    definition = {"yaml": f.read()}
            except (OSError, ValueError) as e:
                raise StrataError(f"{os.fspath(definition)}: {e}", status="invalid", code="unknown-space", path="/space") from None
        more = dict(members)
        if limits:
            more["limits"] = dict(limits)
        return Space(self, definition, more, objectives)


_copies: Dict[str, Oracle] = {}  # that were unpickled here, by their origin
COPIES = 16  # of these that are kept, so that the next task in this process finds its program running


def _copied(origin: str, settings: Dict[str, Any]) -> Oracle:
    """Unpickles an oracle."""
    known = _copies.get(origin)
    if known and not known._closed and known._settings() == settings:
        return known
    oracle = Oracle.__new__(Oracle)
    oracle.__dict__.update(settings)
    oracle._begin(origin)
    for old in list(_copies)[:max(0, len(_copies) - COPIES + 1)]:
        _copies.pop(old, None)
    _copies[origin] = oracle
    return oracle


# --- Search spaces ---


class Parameter:
    """One parameter of a space. It has values, or low and high with perhaps a step, or log.

    A gene is a number that stands for a value: the place in values or of the step; or, where values are continuous or logarithmic, a
    number from 0 to 1.

    >>> p = Parameter({"name": "layers", "type": "int", "low": 4, "high": 12, "step": 4})
    >>> p.levels, p.value(1), p.gene(12), [p.value(g) for g in (-3, 9)]
    (3, 8, 2, [4, 12])
    >>> Parameter({"name": "rate", "type": "float", "low": 0.01, "high": 1, "log": True}).value(0.5)
    0.1
    """

    def __init__(self, wire: Mapping[str, Any]):
        self.name: str = wire["name"]
        self.type: str = wire["type"]
        self.low, self.high, self.step = wire.get("low"), wire.get("high"), wire.get("step")
        self.log = bool(wire.get("log"))
        self.when = wire.get("when")
        self.values: Optional[List[Any]] = list(wire["values"]) if wire.get("values") else None
        if self.values is None and self.type == "bool":
            self.values = [False, True]
        if self.values is None and (self.low is None or self.high is None):
            raise StrataError(f"parameter {self.name} has neither values nor low and high", code="protocol")
        if self.step is None and self.type == "int" and not self.log:
            self.step = 1
        self.levels: Optional[int] = None
        if self.values is not None:
            self.levels = len(self.values)
        elif self.step and not self.log:
            self.levels = int((self.high - self.low) / self.step + 1e-9) + 1

    def __repr__(self) -> str:
        what = self.values if self.values is not None else f"{self.low}…{self.high}" + (f" step {self.step}" if self.step else "") + (" log" if self.log else "")
        return f"Parameter({self.name}: {self.type} {what})"

    @property
    def ordered(self) -> bool:
        """Neighbouring genes are neighbouring values."""
        return self.type in ("int", "float")

    def value(self, gene: float) -> Any:
        """The value of a gene. Genes beyond the ends are taken to the end."""
        if self.levels is not None:
            i = min(max(int(round(gene)), 0), self.levels - 1)
            if self.values is not None:
                return self.values[i]
            v = self.low + i * self.step
        else:
            g = min(max(float(gene), 0.0), 1.0)
            v = self.low * (self.high / self.low) ** g if self.log else self.low + g * (self.high - self.low)
        if self.type == "int":
            return int(min(max(round(v), self.low), self.high))
        return min(max(float(f"{v:.12g}"), self.low), self.high)

    def gene(self, value: Any) -> float:
        """The gene of a value: the inverse of value."""
        if self.values is not None:
            return self.values.index(value)
        if self.levels is not None:
            return round((value - self.low) / self.step)
        if self.high == self.low:
            return 0.0
        return math.log(value / self.low) / math.log(self.high / self.low) if self.log else (value - self.low) / (self.high - self.low)

    def draw(self, rng: Any = random) -> float:
        """A gene by chance, all as likely."""
        return rng.randrange(self.levels) if self.levels is not None else rng.random()


class Candidate:
    """A point of a space with what became of it.

    values are its objectives, None if it has no figures; violations say by how much it misses each limit and constraint, in the order
    of Space.violation_names, at most 0 where it does not.
    """

    __slots__ = ("point", "estimate", "values", "violations", "_goals")

    def __init__(self, point: Dict[str, Any], estimate: Estimate, values: Optional[List[float]], violations: List[float], goals: Tuple[str, ...]):
        self.point, self.estimate, self.values, self.violations, self._goals = point, estimate, values, violations, goals

    @property
    def violation(self) -> float:
        """What is missed, in all; 0 if nothing is."""
        return sum(v for v in self.violations if v > 0)

    @property
    def feasible(self) -> bool:
        """It has figures and misses nothing."""
        return self.values is not None and self.violation == 0

    @property
    def costs(self) -> Optional[List[float]]:
        """The objectives turned so that less is better."""
        return None if self.values is None else [-v if g == "max" else v for v, g in zip(self.values, self._goals)]

    @property
    def penalised(self) -> List[float]:
        """values if it is feasible, else for each objective one that is worse than any, and the worse the more is missed.

        Dominance among these is constrained dominance: feasible first, then what misses less (Deb 2000).
        """
        if self.feasible:
            return self.values
        worst = PENALTY * (1 + min(self.violation, 1e6))
        return [-worst if g == "max" else worst for g in self._goals]

    def __repr__(self) -> str:
        return f"Candidate({self.point}, {self.estimate.status}, values={self.values}, violation={self.violation:.3g})"


# Figures of a point's model, which each answer has in its columns and metrics do not name (docs/spaces.md).
_COLUMNS = frozenset({"parameters", "active_parameters", "parameter_bytes", "loss_proxy", "loss_extrapolated"})


class Space:
    """A search space, from Oracle.space.

    parameters, constraints, objectives and columns are the server's description of it, hash its name by content. Points are dicts of
    a value for each parameter.
    """

    def __init__(self, oracle: Oracle, definition: Any, members: Mapping[str, Any], objectives: Optional[Sequence[Any]]):
        self.oracle, self.definition, self.members = oracle, definition, dict(members)
        self.info = self._define()
        self.name, self.hash, self.points = self.info.get("name", ""), self.info["hash"], self.info.get("points")
        self.parameters = [Parameter(p) for p in self.info["parameters"]]
        self.constraints = list(self.info.get("constraints") or [])
        self.columns = list(self.info.get("columns") or [])
        if objectives is None:
            objectives = [(o["column"], o.get("goal", "min")) for o in self.info.get("objectives") or []]
        pairs = [(o, "min") if isinstance(o, str) else (o[0], o[1]) for o in objectives]
        for name, goal in pairs:
            if goal not in ("min", "max"):
                raise StrataError(f"the goal of {name} is min or max, not {goal!r}", status="invalid", code="unknown-value")
        if not pairs:
            raise StrataError("the space has no objectives", status="invalid", code="missing", hint='e.g. objectives=["seconds", ("layers", "max")]')
        self.objectives: List[Tuple[str, str]] = pairs
        self._goals = tuple(goal for _, goal in pairs)
        self._limits = sorted(self.members.get("limits") or {})
        self._seen = False  # a point that was no mistake
        # Answers with these figures alone are much shorter. None: the oracle cannot leave out others.
        given = {p.name for p in self.parameters} | set(self.columns) | _COLUMNS
        self._metrics: Optional[List[str]] = [n for n in dict.fromkeys([*(n for n, _ in pairs), *self.members.pop("metrics", ())]) if n not in given]

    def __repr__(self) -> str:
        return f"Space({self.name}: {len(self.parameters)} parameters, {self.points} points)"

    def _define(self) -> Dict[str, Any]:
        return self.oracle.estimate({"space": self.definition}).check()["space"]

    def sample(self, rng: Any = random) -> Dict[str, Any]:
        """A point by chance; rng is a random.Random."""
        return self.point([p.draw(rng) for p in self.parameters])

    def point(self, genes: Sequence[float]) -> Dict[str, Any]:
        """The point of a list of genes."""
        return {p.name: p.value(g) for p, g in zip(self.parameters, genes)}

    def genes(self, point: Mapping[str, Any]) -> List[float]:
        """The genes of a point."""
        return [p.gene(point[p.name]) for p in self.parameters]

    def estimate(self, point: Mapping[str, Any]) -> Estimate:
        """The whole answer for one point."""
        return self._estimates([point], None)[0]

    def estimates(self, points: Iterable[Mapping[str, Any]]) -> List[Estimate]:
        """The whole answers for many points, in their order."""
        return self._estimates(list(points), None)

    def _estimates(self, points: List[Mapping[str, Any]], metrics: Optional[List[str]]) -> List[Estimate]:
        def ask(points: List[Mapping[str, Any]]) -> List[Estimate]:
            more = dict(self.members)
            if metrics is not None:
                more["metrics"] = metrics
            return self.oracle.estimates([{"space": self.hash, "point": dict(p), **more} for p in points])

        answers = ask(points)
        lost = [i for i, a in enumerate(answers) if a.error and a.error.code == "unknown-space"]
        if lost:  # the process or server is another one, or has forgotten
            if self._define()["hash"] != self.hash:
                raise StrataError("the space has changed since it was read", status="invalid", code="unknown-space", hint="read it anew with oracle.space")
            for i, a in zip(lost, ask([points[i] for i in lost])):
                answers[i] = a
        return answers

    @property
    def violation_names(self) -> List[str]:
        """What the violations of a candidate are of: limits, constraints, and whether there are figures at all."""
        return self._limits + [c if isinstance(c, str) else json.dumps(c) for c in self.constraints] + ["answered"]

    def rate(self, points: Iterable[Mapping[str, Any]]) -> List[Candidate]:
        """Asks for points in one call, and says how good they are.

        A point that is refused is a candidate without values. Raises StrataError if all points so far are mistakes, so that one in
        the space does not go unnoticed.
        """
        points = [dict(p) for p in points]
        answers = self._estimates(points, self._metrics)
        while self._metrics is not None and any(self._declined(a) for a in answers):
            answers = self._estimates(points, self._metrics)
        try:
            candidates = [self._candidate(p, a) for p, a in zip(points, answers)]
        except StrataError:
            if self._metrics is None:
                raise
            self._metrics = None  # whole answers may have more
            candidates = [self._candidate(p, a) for p, a in zip(points, self._estimates(points, None))]
        self._seen = self._seen or any(c.estimate.status in ("ok", "infeasible") for c in candidates)
        if candidates and not self._seen:
            raise candidates[0].estimate.error
        return candidates

    def _declined(self, answer: Estimate) -> bool:
        """Whether the oracle does not know one of the metrics, which is then not asked for any more."""
        path = answer.error.path if answer.error else ""
        if not path.startswith("/metrics") or self._metrics is None:
            return False
        at = path[len("/metrics/"):]
        if at.isdigit() and int(at) < len(self._metrics):
            del self._metrics[int(at)]
        else:
            self._metrics = None  # nor the member
        return True

    def _candidate(self, point: Dict[str, Any], answer: Estimate) -> Candidate:
        values = [self._figure(name, point, answer) for name, _ in self.objectives] if answer.ok else None
        left = dict(answer.violations)
        violations = [float(left.pop(name, 0.0)) for name in self.violation_names[:-1]]
        rest = max([0.0, *left.values()])
        if values is None and rest == 0 and not any(v > 0 for v in violations):
            rest = 1.0
        return Candidate(point, answer, values, violations + [rest], self._goals)

    def _figure(self, name: str, point: Mapping[str, Any], answer: Estimate) -> float:
        for place in (answer.columns, answer, point):
            v = place.get(name)
            if isinstance(v, (int, float)) and math.isfinite(v):
                return float(v)
        have = sorted(n for place in (answer.columns, answer, point) for n, v in place.items() if isinstance(v, (int, float)))
        raise StrataError(f"no figure {name} in the answers", status="invalid", code="unknown-value", hint="there are " + ", ".join(have))


def pareto(candidates: Iterable[Candidate]) -> List[Candidate]:
    """The feasible candidates that no other dominates, one of each values, by the first objective.

    >>> c = [Candidate({"n": n}, Estimate(status="ok"), v, [0.0], ("min", "max")) for n, v in enumerate([[2, 5], [1, 3], [2, 4], [1, 3]])]
    >>> [x.point["n"] for x in pareto(c)]
    [1, 0]
    """
    best: Dict[Tuple[float, ...], Candidate] = {}
    for c in candidates:
        if c.feasible:
            best.setdefault(tuple(c.costs), c)
    front: List[Tuple[float, ...]] = []
    for costs in sorted(best):  # what dominates another comes before it
        if not any(all(a <= b for a, b in zip(f, costs)) for f in front):
            front.append(costs)
    return [best[costs] for costs in front]


# --- Optuna ---


def optuna_suggest(trial: Any, space: Space) -> Dict[str, Any]:
    """A point of the space, from the suggestions of an Optuna trial.

    Parameters have their own names. Integers at equal distances are suggested as such, other values as categories.
    """
    return {p.name: _suggest(trial, p) for p in space.parameters}


def _suggest(trial: Any, p: Parameter) -> Any:
    if p.values is not None:
        steps = {b - a for a, b in zip(p.values, p.values[1:])} if p.type == "int" else set()
        if len(steps) == 1 and min(steps) > 0:
            return trial.suggest_int(p.name, p.values[0], p.values[-1], step=steps.pop())
        return trial.suggest_categorical(p.name, p.values)
    if p.type == "int":
        return trial.suggest_int(p.name, p.low, p.high, step=1 if p.log else p.step, log=p.log)
    return trial.suggest_float(p.name, p.low, p.high, step=None if p.log else p.step, log=p.log)


_VIOLATIONS = "strata_violations"  # user attributes of a trial
_ERROR = "strata_error"


def _note(trial: Any, c: Candidate) -> None:
    trial.set_user_attr(_VIOLATIONS, c.violations)
    if c.estimate.error:
        trial.set_user_attr(_ERROR, str(c.estimate.error))


def optuna_objective(space: Space) -> Callable[[Any], Any]:
    """An objective for study.optimize, one request a trial: its values in the order of space.objectives.

    A point without figures is pruned, with the reason in the user attribute strata_error.
    """

    def objective(trial: Any) -> Any:
        import optuna

        c = space.rate([optuna_suggest(trial, space)])[0]
        _note(trial, c)
        if c.values is None:
            raise optuna.TrialPruned(str(c.estimate.error))
        return c.values[0] if len(c.values) == 1 else tuple(c.values)

    return objective


def optuna_constraints(space: Space) -> Callable[[Any], Tuple[float, ...]]:
    """constraints_func for NSGAIISampler and TPESampler: the violations of a trial.

    Always as many numbers, never NaN. Trials that have none, such as failed ones and those of other programs, count as not answered.
    """
    names = len(space.violation_names)

    def constraints(trial: Any) -> Tuple[float, ...]:
        v = trial.user_attrs.get(_VIOLATIONS)
        if not isinstance(v, (list, tuple)) or len(v) != names or not all(isinstance(x, (int, float)) and math.isfinite(x) for x in v):
            return (0.0,) * (names - 1) + (1.0,)
        return tuple(float(x) for x in v)

    return constraints


def optuna_optimize(study: Any, space: Space, n_trials: int, batch: int = 32, infeasible: str = "fail") -> List[Candidate]:
    """Runs n_trials of a study, so many asked of Optuna and then of the oracle at a time. Returns all candidates in their order.

    A trial with figures is told its values, also when it is beyond a limit: give the sampler optuna_constraints(space). One without
    figures fails, or, with infeasible="penalty", is told values that are worse than all others. Either way the reason is in its user
    attribute strata_error.
    """
    import optuna

    if infeasible not in ("fail", "penalty"):
        raise StrataError(f'infeasible is "fail" or "penalty", not {infeasible!r}', status="invalid", code="unknown-value")
    want = [{"min": "MINIMIZE", "max": "MAXIMIZE"}[goal] for _, goal in space.objectives]
    have = [d.name for d in study.directions]
    if want != have:
        raise StrataError(f"the study goes {', '.join(have)}, the space {', '.join(want)}", status="invalid", code="conflict",
                          hint=f"optuna.create_study(directions={[w.lower() for w in want]})")
    done: List[Candidate] = []
    while len(done) < n_trials:
        trials: List[Any] = []
        try:
            for _ in range(min(batch, n_trials - len(done))):
                trials.append(study.ask())
            candidates = space.rate([optuna_suggest(t, space) for t in trials])
            for c in candidates:
                trial = trials[0]
                _note(trial, c)
                if c.values is not None or infeasible == "penalty":
                    study.tell(trial, c.penalised if c.values is None else c.values)
                else:
                    study.tell(trial, state=optuna.trial.TrialState.FAIL)
                trials.pop(0)
        except BaseException:
            for trial in trials:  # none is left running
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise
        done += candidates
    return done


# --- DEAP ---


def deap_toolbox(space: Space, toolbox: Any = None) -> Any:
    """A DEAP toolbox for the space, with individual, population, mate, mutate, select, evaluate and map.

    An individual is a list of genes, space.point(individual) its point, and individual.candidate what became of it once it is
    evaluated. map asks for all individuals in one call when it maps evaluate. The fitness is Candidate.penalised, so that any selection
    puts feasible individuals first and then those that miss less. select is NSGA-II's; register another in its place. Chance comes
    from the module random, as in DEAP itself.
    """
    from deap import base, creator, tools

    goals = space._goals
    fitness, individual = "StrataFitness_" + "_".join(goals), "StrataIndividual_" + "_".join(goals)
    if not hasattr(creator, individual):  # deap.creator keeps classes by name, so that individuals can be pickled
        creator.create(fitness, base.Fitness, weights=tuple(1.0 if g == "max" else -1.0 for g in goals))
        creator.create(individual, list, fitness=getattr(creator, fitness), candidate=None)
    new = getattr(creator, individual)
    toolbox = toolbox or base.Toolbox()

    def make() -> Any:
        return new(p.draw() for p in space.parameters)

    def evaluate_all(individuals: Iterable[Any]) -> List[Tuple[float, ...]]:
        individuals = list(individuals)
        fits = []
        for i, c in zip(individuals, space.rate([space.point(i) for i in individuals])):
            i.candidate = c
            fits.append(tuple(c.penalised))
        return fits

    def evaluate(individual: Any) -> Tuple[float, ...]:
        return evaluate_all([individual])[0]

    def mapped(function: Callable, *lists: Any) -> Any:
        if getattr(function, "func", None) is evaluate:  # as it was registered: not one that was decorated
            return evaluate_all(lists[0])
        return map(function, *lists)

    toolbox.register("individual", make)
    toolbox.register("population", tools.initRepeat, list, toolbox.individual)
    toolbox.register("mate", _mate, space)
    toolbox.register("mutate", _mutate, space, indpb=1 / len(space.parameters))
    toolbox.register("select", tools.selNSGA2)
    toolbox.register("evaluate", evaluate)
    toolbox.register("map", mapped)
    return toolbox


def _mate(space: Space, a: Any, b: Any) -> Tuple[Any, Any]:
    """Uniform crossover; continuous genes are blended."""
    for i, p in enumerate(space.parameters):
        if p.levels is None:
            w = random.random()
            a[i], b[i] = w * a[i] + (1 - w) * b[i], w * b[i] + (1 - w) * a[i]
        elif random.random() < 0.5:
            a[i], b[i] = b[i], a[i]
    return a, b


def _mutate(space: Space, a: Any, indpb: float) -> Tuple[Any]:
    """Changes each gene with probability indpb: half the time to a neighbour, where there are neighbours, else to any."""
    for i, p in enumerate(space.parameters):
        if random.random() >= indpb:
            continue
        if not p.ordered or random.random() < 0.5:
            a[i] = p.draw()
        elif p.levels is not None:
            a[i] = min(max(a[i] + random.choice((-1, 1)), 0), p.levels - 1)
        else:
            a[i] = min(max(random.gauss(a[i], 0.1), 0.0), 1.0)
    return (a,)


# --- pymoo ---


def pymoo_problem(space: Space) -> Any:
    """A pymoo Problem: a row of X holds genes, and all rows are asked in one call.

    F are the objectives, turned so that less is better, G the violations, feasible at most 0. A row without figures has an F that is
    worse than all others. vtype is int if all parameters have levels; else genes of those that have are rounded.
    """
    import numpy
    from pymoo.core.problem import Problem

    parameters = space.parameters

    class StrataProblem(Problem):
        def __init__(self) -> None:
            super().__init__(n_var=len(parameters), n_obj=len(space.objectives), n_ieq_constr=len(space.violation_names),
                             xl=numpy.zeros(len(parameters)), xu=numpy.array([1.0 if p.levels is None else p.levels - 1 for p in parameters]),
                             vtype=int if all(p.levels is not None for p in parameters) else float)
            self.space = space

        def _evaluate(self, X: Any, out: Dict[str, Any], *args: Any, **kwargs: Any) -> None:
            candidates = space.rate([space.point(x) for x in X])
            worst = PENALTY
            out["F"] = numpy.array([c.costs if c.values is not None else [worst] * len(space.objectives) for c in candidates], dtype=float)
            out["G"] = numpy.array([c.violations for c in candidates], dtype=float)

    return StrataProblem()
