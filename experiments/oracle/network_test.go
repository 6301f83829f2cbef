package oracle_test

import (
	"strings"
	"testing"

	"github.com/stratasim/strata/experiments/oracle"
)

const ring8 = `"topology":"ring","dims":8,"link_gigabytes_per_second":50,"latency_ns":500,"algorithm":"ring"`

// A network request with a mode is answered as that tool answers it; the first by hand: 14 steps of 500 and 2441 ns of 131072 B at 50·2³⁰ B/s,
// 10 ns before each and after the last, and 3·81 ns for each of seven parts that are reduced.
func TestNetworkModes(t *testing.T) {
	o := oracle.New(oracle.Options{})
	for request, want := range map[string]string{
		`{"network":{"mode":"astra-aware",` + ring8 + `,"bytes":1048576}}`:                                                                                                                             `"seconds":0.000043025`,
		`{"id":7,"network":{"mode":"astra-unaware",` + ring8 + `,"bytes":1048576}}`:                                                                                                                    `"id":7,"status":"ok","seconds":0.000043025,"bound_by":"link","busbw_gigabytes_per_second":42.6`,
		`{"network":{"mode":"astra-unaware",` + ring8 + `,"bytes":1048576},"limits":{"seconds":1}}`:                                                                                                    `"violations"`,
		`{"network":{"mode":"astra-aware",` + ring8 + `,"bytes":1048576,"chunks":4,"active_chunks":2}}`:                                                                                                `"status":"ok"`,
		`{"network":{"mode":"astra-unaware","topology":["ring","switch"],"dims":[8,4],"link_gigabytes_per_second":[300,25],"latency_ns":500,"algorithm":["ring","halving-doubling"],"bytes":1048576}}`: `"status":"ok"`,
		`{"network":{"mode":"astra-aware","topology":["ring","switch"],"dims":[8,4],"link_gigabytes_per_second":[300,25],"latency_ns":500,"algorithm":"ring","bytes":1048576}}`:                        `"path":"/network/dims"`,
		`{"network":{"mode":"astra-aware","topology":["ring","switch"],"dims":[8],"link_gigabytes_per_second":50,"latency_ns":500,"algorithm":"ring","bytes":1048576}}`:                                `"path":"/network/topology"`,
		`{"network":{"mode":"astra-aware","topology":"ring","dims":8,"link_gigabytes_per_second":0,"latency_ns":500,"algorithm":"ring","bytes":1048576}}`:                                              `"path":"/network/link_gigabytes_per_second"`,
		`{"network":{"mode":"astra-aware","topology":"ring","dims":[8.5],"link_gigabytes_per_second":1,"latency_ns":500,"algorithm":"ring","bytes":1048576}}`:                                          `"path":"/network/dims/0"`,
		`{"network":{"mode":"astra-aware","topology":"ring","dims":["8"],"link_gigabytes_per_second":1,"latency_ns":500,"algorithm":"ring","bytes":1048576}}`:                                          `"path":"/network/dims"`,
		`{"network":{"mode":"astra",` + ring8 + `,"bytes":1}}`:                                                                                                                                         `"path":"/network/mode"`,
		`{"network":{"mode":"astra-aware",` + ring8 + `}}`:                                                                                                                                             `"path":"/network/bytes"`,
		`{"network":{"mode":"astra-aware",` + ring8 + `,"bytes":1048576,"size":1}}`:                                                                                                                    `"path":"/network/size"`,
		`{"network":{"mode":"astra-aware",` + ring8 + `,"bytes":1048576},"arch":"h100-sxm"}`:                                                                                                           `"path":"/arch"`,
		`{"network":{"mode":"astra-aware",` + ring8 + `,"bytes":1048576},"mapping":{}}`:                                                                                                                `"path":"/mapping"`,
		`{"network":{"mode":"astra-aware",` + ring8 + `,"bytes":1048576,"collective":"broadcast"}}`:                                                                                                    `"path":"/network/collective"`,
	} {
		got, err := o.Answer(t.Context(), []byte(request))
		if err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s\n%s, %v\nwant %s", request, got, err, want)
		}
	}
}
