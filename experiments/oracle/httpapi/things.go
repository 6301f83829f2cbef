package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/traces/llm"
)

// fault is one thing that is wrong with a text that was posted.
type fault struct {
	Line    int    `json:"line"` // from 1; 0 where it is on none
	Path    string `json:"path"` // of the field, "" for all of it
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

// maxFaults is how many faults of a text are listed.
const maxFaults = 100

// archList and modelList are what strata arch list and strata model list print with -o json. Presets are part of the program, and reading
// them all takes half a second, so it is done once, when somebody asks.
var (
	archList  = sync.OnceValues(func() ([]byte, error) { return listOf(report.MachinePresets()) })
	modelList = sync.OnceValues(func() ([]byte, error) { return listOf(report.ModelPresets()) })
)

func listOf(t *report.Table, err error) ([]byte, error) {
	var b bytes.Buffer
	if err == nil {
		err = t.JSON(&b)
	}
	return b.Bytes(), err
}

func (s *Server) listArchs(w http.ResponseWriter, _ *http.Request, _ string)  { list(w, archList) }
func (s *Server) listModels(w http.ResponseWriter, _ *http.Request, _ string) { list(w, modelList) }

func list(w http.ResponseWriter, of func() ([]byte, error)) {
	text, err := of()
	if err != nil {
		panic(err) // presets are part of the program
	}
	replyBytes(w, http.StatusOK, "application/json", text)
}

// showArch answers a machine file in JSON: what POST /v1/archs takes.
func (s *Server) showArch(w http.ResponseWriter, _ *http.Request, name string) {
	m, bad := s.oracle.Machine(name)
	if bad != nil {
		notFound(w, bad)
		return
	}
	text, err := spec.JSON(m)
	if err != nil {
		panic(err) // it was read from a text
	}
	replyBytes(w, http.StatusOK, "application/json", append(text, '\n'))
}

// showModel answers what strata model show --json prints.
func (s *Server) showModel(w http.ResponseWriter, _ *http.Request, name string) {
	m, bad := s.oracle.Model(name)
	if bad != nil {
		notFound(w, bad)
		return
	}
	reply(w, http.StatusOK, m)
}

func notFound(w http.ResponseWriter, bad *oracle.Error) {
	e := *bad
	e.Path = ""
	reply(w, http.StatusNotFound, problem{Status: e.Status, Error: &e})
}

// postArch takes a machine file.
func (s *Server) postArch(w http.ResponseWriter, r *http.Request, _ string) {
	s.post(w.(*writer), r, yamlOrJSON, func(ctx context.Context, text []byte) (string, *report.Table, error) {
		id, m, err := s.oracle.AddMachineContext(ctx, text)
		if err != nil {
			return "", nil, err
		}
		return id, report.Machines(m), nil
	})
}

// postModel takes a Hugging Face config.json.
func (s *Server) postModel(w http.ResponseWriter, r *http.Request, _ string) {
	s.post(w.(*writer), r, []string{"application/json"}, func(ctx context.Context, text []byte) (string, *report.Table, error) {
		id, m, err := s.oracle.AddModelContext(ctx, text)
		if err != nil {
			return "", nil, err
		}
		return id, report.Models(m), nil
	})
}

// listSpaces answers descriptions of the search spaces that come with strata.
func (s *Server) listSpaces(w http.ResponseWriter, _ *http.Request, _ string) {
	all := []oracle.SpaceDescription{}
	for _, name := range oracle.Spaces() {
		d, bad := s.oracle.Space(name)
		if bad != nil {
			panic(bad) // they are part of the program
		}
		all = append(all, d)
	}
	reply(w, http.StatusOK, all)
}

// showSpace answers the description of a search space.
func (s *Server) showSpace(w http.ResponseWriter, _ *http.Request, name string) {
	d, bad := s.oracle.Space(name)
	if bad != nil {
		notFound(w, bad)
		return
	}
	reply(w, http.StatusOK, d)
}

// postSpace takes a search space, a sweep file.
func (s *Server) postSpace(w http.ResponseWriter, r *http.Request, _ string) {
	s.take(w.(*writer), r, yamlOrJSON, func(ctx context.Context, text []byte) (any, error) { return s.oracle.AddSpaceContext(ctx, text) })
}

// yamlOrJSON are the media types of machines and spaces.
var yamlOrJSON = []string{"application/yaml", "application/json", "application/x-yaml", "text/yaml"}

// post answers the id of a text that was added and its main figures, or everything that is wrong with it.
func (s *Server) post(w *writer, r *http.Request, kinds []string, add func(context.Context, []byte) (id string, figures *report.Table, err error)) {
	s.take(w, r, kinds, func(ctx context.Context, text []byte) (any, error) {
		id, figures, err := add(ctx, text)
		if err != nil {
			return nil, err
		}
		rows, err := listOf(figures, nil)
		if err != nil {
			panic(err) // figures have JSON
		}
		var one []json.RawMessage
		if err := json.Unmarshal(rows, &one); err != nil || len(one) != 1 {
			panic("a table of one row is a list of one object")
		}
		return struct {
			ID      string          `json:"id"`
			Figures json.RawMessage `json:"figures"`
		}{id, one[0]}, nil
	})
}

// take answers what add makes of a text that was posted, or everything that is wrong with it.
func (s *Server) take(w *writer, r *http.Request, kinds []string, add func(context.Context, []byte) (any, error)) {
	ctx, text, done, ok := s.turn(w, r, kinds...)
	if !ok {
		return
	}
	defer done()
	// Who sends no more, as a client may that still reads, looks like one who is gone. What is read takes little, so it is read all the same.
	until, _ := ctx.Deadline()
	within, cancel := context.WithDeadline(context.WithoutCancel(ctx), until)
	defer cancel()
	added, err := add(within, text)
	switch {
	case err == nil:
		reply(w, http.StatusOK, added)
		return
	case within.Err() != nil:
		tooLong(w)
		return
	}
	p := problem{Status: oracle.Invalid, Problems: faultsOf(err)}
	if errors.Is(err, llm.ErrUnsupported) {
		p.Status = oracle.Unsupported
	}
	first := p.Problems[0]
	p.Error = &oracle.Error{Code: "value", Path: "", Message: first.Message, Hint: first.Hint}
	if p.Status == oracle.Unsupported {
		p.Error.Code = "not-simulated"
	}
	if first.Path != "" {
		p.Error.Message = first.Path + ": " + first.Message
	}
	reply(w, http.StatusUnprocessableEntity, p)
}

// faultsOf lists what is wrong with a text.
func faultsOf(err error) (list []fault) {
	var machine *spec.Error
	var model llm.Errors
	switch {
	case errors.As(err, &machine):
		for _, p := range machine.Problems {
			list = append(list, fault{p.Line, p.Path, p.Message, p.Hint})
		}
	case errors.As(err, &model):
		for _, p := range model {
			list = append(list, fault{p.Line, p.Path, p.Message, p.Hint})
		}
	}
	if len(list) == 0 {
		list = []fault{{Message: strings.ToValidUTF8(err.Error(), "�")}}
	}
	if len(list) > maxFaults {
		list = list[:maxFaults]
	}
	return list
}
