// Package httpapi lets programs on other machines ask a cost oracle: what strata estimate answers on a line, it answers to an
// HTTP request, with the same bytes. docs/oracle.md describes endpoints and limits for their users, openapi.json for programs.
//
// # How it works
//
// New makes a Server, an http.Handler, of an oracle.Oracle; Listen opens a TCP port or a Unix socket, and Serve answers what comes
// until its context ends, then finishes what is in work. Everything is in one table of routes. A request passes, in this order: who may
// ask (token, Host, Origin), the route, the body (type, length, time, and the bytes that all bodies may take together), the gate
// (so many are worked on, so many wait), the answer.
//
// Nothing that a request names is looked up in the file system: machines and models are presets or were posted, and are then named by
// the SHA-256 of their text.
//
// # Limits
//
// Each limit is a field of Options: connections, headers, bodies, requests in work and waiting, streams, and the time each
// may take. What is beyond one is refused with a status, Retry-After where it may pass, and an error as oracle.Error has it; never dropped in
// silence, but for who sends or reads too slowly.
//
// Left out: HTTP/2 and TLS, which a proxy in front adds; shares of the computer by client; streams of events.
package httpapi
