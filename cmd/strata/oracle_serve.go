package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/experiments/oracle/httpapi"
	"github.com/stratasim/strata/sim/units"
)

// Where strata oracle serve listens unless told, and how long it may finish what is in work.
const (
	serveAt    = "127.0.0.1:8741"
	serveGrace = 10 * time.Second
)

// tokenVariable is the variable of the environment that may hold the token.
const tokenVariable = "STRATA_TOKEN"

// Limits of tokens in bytes: a shorter one is guessed, a longer one is no token but the wrong file.
const (
	leastToken = 16
	mostToken  = 4096
)

func newOracleServe() *cobra.Command {
	var (
		problems                              experiments.Problems
		how                                   answering
		listen, tokenFile, body               string
		working, waiting, streams, connection int64
		grace, timeout, idle                  time.Duration
		logging                               bool
	)
	c := &cobra.Command{
		Use:   "serve",
		Short: "Answer estimate requests over HTTP",
		Long: `Answer estimate requests over HTTP: POST /v1/estimate takes one request, a batch or a stream of lines, and answers
with the bytes that strata estimate prints. Machines and models can be posted and named by their hash; no request
reads a file.

Only this computer reaches it unless --listen says otherwise, and then every request needs a token: in the file of
--token-file or in STRATA_TOKEN, sent as "Authorization: Bearer TOKEN". Where it listens is printed as one line of JSON.
SIGTERM and Ctrl-C end it: what is in work is finished first, for as long as --grace allows; then the exit code is 0, else 75.`,
		Example: `strata oracle serve
strata oracle serve --listen unix:oracle.sock --log
STRATA_TOKEN=$(cat token) strata oracle serve --listen 0.0.0.0:8741
curl --json '{"arch":"a100-sxm-80gb","model":"llama2-7b","phase":"decode","batch":8}' http://127.0.0.1:8741/v1/estimate`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if tokenFile == "" && c.Flags().Changed("token-file") {
				problems.Add(&experiments.Invalid{Field: "token-file", Message: "the name of the file is empty"})
			}
			token := tokenOf(tokenFile, &problems)
			o := httpapi.Options{Token: token, MaxBody: sizeFlag("max-body", body, &problems), Working: int(working), Waiting: int(waiting), Streams: int(streams),
				Connections: int(connection), Timeout: timeout, Idle: idle, Errors: c.ErrOrStderr(), Build: thisBuild()}
			if logging {
				o.Log = c.ErrOrStderr()
			}
			for _, d := range []struct {
				name string
				is   time.Duration
				min  time.Duration
			}{{"grace", grace, 0}, {"timeout", timeout, time.Millisecond}, {"idle", idle, time.Millisecond}} {
				if d.is < d.min || d.is > 24*time.Hour {
					problems.Add(&experiments.Invalid{Field: d.name, Message: fmt.Sprintf("%v: must be from %v to 24h", d.is, d.min)})
				}
			}
			_, port, wrong := net.SplitHostPort(listen)
			if wrong == nil {
				_, wrong = net.LookupPort("tcp", port)
			}
			if token == "" && wrong == nil && !httpapi.Loopback(listen) { // what is no address is refused below
				problems.Add(&experiments.Invalid{Field: "listen", Message: fmt.Sprintf("others reach %q, and there is no token", listen), Hint: "give --token-file or " + tokenVariable + ", or listen at 127.0.0.1"})
			}
			if err := problems.Err(); err != nil {
				return err
			}
			options, end, err := how.open(c)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, end()) }()
			l, err := httpapi.Listen(listen)
			if err != nil {
				return badInput{fmt.Errorf("--listen: %w", err)}
			}
			at, err := announce(c, l)
			if err != nil {
				l.Close()
				return err
			}
			processOf(c.Context()).grace.Store(int64(grace))
			s := httpapi.New(oracle.New(options), o)
			err = s.Serve(c.Context(), l, grace)
			if errors.Is(err, context.DeadlineExceeded) {
				return &failed{exitInterrupted, fmt.Sprintf("%s: stopped, and what was in work after %v was cut", at, grace)}
			}
			return err
		},
	}
	fs := c.Flags()
	fs.StringVar(&listen, "listen", serveAt, "where to listen: `HOST:PORT`, port 0 for a free one, or unix:PATH")
	fs.StringVar(&tokenFile, "token-file", "", "the token that requests must carry is in `FILE`; without, it is in "+tokenVariable+" if that is set")
	how.register(c, &problems)
	group(fs, "Serving", "listen", "token-file", "workers", "cache", "cache-memory")
	fs.StringVar(&body, "max-body", "1 MiB", "largest body, as `SIZE`; a stream may be longer, its lines may not be longer than 1 MiB")
	fs.Var(&count{name: "max-working", into: &working, min: 1, max: 4096, problems: &problems}, "max-working", "HTTP requests to work on at a time (default twice the processors)")
	waiting, streams, connection = httpapi.DefaultWaiting, httpapi.DefaultStreams, httpapi.DefaultConnections
	fs.Var(&count{name: "max-waiting", into: &waiting, min: 1, max: 1 << 20, problems: &problems}, "max-waiting", "HTTP requests that wait for their turn; others are answered 503")
	fs.Var(&count{name: "max-streams", into: &streams, min: 1, max: 1 << 16, problems: &problems}, "max-streams", "streams of lines at a time")
	fs.Var(&count{name: "max-connections", into: &connection, min: 1, max: 1 << 20, problems: &problems}, "max-connections", "connections at a time; others are answered 503")
	fs.DurationVar(&timeout, "timeout", httpapi.DefaultTimeout, "time to answer a request that is no stream")
	fs.DurationVar(&idle, "idle", httpapi.DefaultIdle, "time that a connection or a stream is kept with nothing to do")
	fs.DurationVar(&grace, "grace", serveGrace, "time to finish what is in work after a signal")
	group(fs, "Limits", "max-body", "max-working", "max-waiting", "max-streams", "max-connections", "timeout", "idle", "grace")
	fs.BoolVar(&logging, "log", false, "write a line of JSON for each request to standard error")
	complete(c, "listen", func() []string { return []string{serveAt, "127.0.0.1:0", httpapi.UnixPrefix} })
	return c
}

// announce says where the server listens: to programs on standard output, to people on standard error.
func announce(c *cobra.Command, l net.Listener) (at string, err error) {
	where := struct {
		Network string `json:"network"` // tcp or unix
		Address string `json:"address"` // HOST:PORT or the path of the socket
		URL     string `json:"url"`
		PID     int    `json:"pid"`
	}{l.Addr().Network(), l.Addr().String(), "http://" + l.Addr().String(), os.Getpid()}
	at = where.URL
	if where.Network == "unix" {
		at, where.URL = httpapi.UnixPrefix+where.Address, "http://localhost"
	}
	line, err := json.Marshal(where)
	if err == nil {
		_, err = c.OutOrStdout().Write(append(line, '\n'))
	}
	if err != nil {
		return at, outputError("standard output", err)
	}
	fmt.Fprintf(c.ErrOrStderr(), "strata: answering at %s; Ctrl-C stops\n", at)
	return at, nil
}

// tokenOf reads the token from a file or the environment, "" if there is none. It is never part of a message.
func tokenOf(file string, problems *experiments.Problems) string {
	token, set := os.LookupEnv(tokenVariable)
	field := "token-file"
	bad := func(format string, args ...any) string {
		problems.Add(&experiments.Invalid{Field: field, Message: fmt.Sprintf(format, args...), Hint: fmt.Sprintf("at least %d letters and digits, such as of: openssl rand -hex 32", leastToken)})
		return ""
	}
	switch {
	case file != "" && set:
		problems.Add(&experiments.Invalid{Field: field, Message: tokenVariable + " is set too", Hint: "give one of them"})
		return ""
	case file != "":
		text, err := experiments.ReadFile(file)
		if err != nil {
			problems.Add(&experiments.Invalid{Field: field, Message: err.Error()})
			return ""
		}
		token = strings.TrimSpace(string(text))
	case !set:
		return ""
	default:
		token = strings.TrimSpace(token)
	}
	if len(token) < leastToken || len(token) > mostToken {
		return bad("the token has %d bytes: must be from %d to %d", len(token), leastToken, mostToken)
	}
	for _, r := range token {
		if r <= ' ' || r > '~' {
			return bad("the token has characters that a header does not carry")
		}
	}
	return token
}

// sizeFlag reads a number of bytes with its unit.
func sizeFlag(name, text string, problems *experiments.Problems) int64 {
	var b units.Bytes
	if err := b.UnmarshalText([]byte(text)); err != nil {
		problems.Add(&experiments.Invalid{Field: name, Message: err.Error()})
		return 0
	}
	if b < 1024 || b > 1<<40 {
		problems.Add(&experiments.Invalid{Field: name, Message: fmt.Sprintf("%s: must be from 1 KiB to 1 TiB", text)})
	}
	return int64(b)
}
