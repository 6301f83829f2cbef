package oracle_test

import (
	"encoding/json"
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
		`{"network":{"mode":"astra-aware","topology":"ring","dims":["8"],"link_gigabytes_per_second":1,"latency_ns":500,"algorithm":"ring","bytes":1048576}}`:                                          `"path":"/network/dims/0"`,
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

// Requests without a mode are answered with flows; the figures by hand are in the names.
func TestNetworks(t *testing.T) {
	o := oracle.New(oracle.Options{})
	const links = `"link_gigabytes_per_second":50,"latency_ns":500`
	for _, c := range []struct{ name, request, want string }{
		{"2·7/8·1 GB at 50 GB/s and 14 steps of two links", `{"network":{"topology":"switch","dims":8,` + links + `,"bytes":1e9,"algorithm":"ring"}}`, `"seconds":0.035014,"bound_by":"link","busbw_gigabytes_per_second":49.98`},
		{"the same without flows", `{"fidelity":"analytic","network":{"topology":"switch","dims":8,` + links + `,"bytes":1e9,"algorithm":"ring"}}`, `"seconds":0.035014,`},
		{"9/8 of it through a switch that reduces", `{"network":{"topology":"switch","dims":8,"reduces":true,` + links + `,"bytes":1e9}}`, `"seconds":0.022501,"bound_by":"link","busbw_gigabytes_per_second":77.77`},
		{"6 links of a torus", `{"network":{"topology":"torus","dims":[4,4,4],` + links + `,"bytes":1e9}}`, `"algorithm":["multi-ring"]`},
		{"a mesh has no way round", `{"network":{"topology":"mesh","dims":[4,4],` + links + `,"bytes":1e9,"algorithm":"ring"}}`, `"status":"ok"`},
		{"tiny: latency", `{"network":{"topology":"switch","dims":8,` + links + `,"bytes":8,"algorithm":"ring"}}`, `"bound_by":"latency"`},
		{"groups of a rail", `{"network":{"topology":["switch","fat-tree"],"dims":[8,4],"leaf":2,"oversubscription":2,` + links + `,"bytes":1e9,"algorithm":"ring","groups":{"ranks":4,"stride":8}}}`, `"status":"ok"`},
		{"a slow link", `{"network":{"topology":"ring","dims":4,` + links + `,"bytes":1e9,"algorithm":"ring","faults":[{"from":0,"to":1,"share":0.5}]}}`, `"busiest_link":{"from":0,"to":1,`},
		{"a graph", `{"network":{"graph":{"ranks":2,"nodes":3,"links":[[0,2,50,500],[2,1,50,500]]},"bytes":1e9,"algorithm":"ring"}}`, `"seconds":0.020002`},
		{"jobs share what they meet on", `{"network":{"topology":"switch","dims":4,` + links + `,"jobs":[{"ranks":[0,1],"bytes":1e9},{"ranks":[2,3],"bytes":1e9}]}}`, `"jobs":[{"name":"job 0","start_seconds":0,"end_seconds":0.020002},{"name":"job 1","start_seconds":0,"end_seconds":0.020002}]`},
		{"without flows each as by itself", `{"fidelity":"analytic","network":{"topology":"switch","dims":4,` + links + `,"jobs":[{"ranks":[0,1],"bytes":1e9},{"ranks":[1,2],"bytes":1e9}]}}`, `"seconds":0.040004,"bound_by":"link","jobs":[{"name":"job 0","start_seconds":0,"end_seconds":0.020002},{"name":"job 1","start_seconds":0.020002,"end_seconds":0.040004}]`},
		{"jobs that meet", `{"network":{"topology":"fat-tree","dims":4,"leaf":2,"oversubscription":2,` + links + `,"jobs":[{"ranks":[0,2],"bytes":1e9},{"ranks":[1,3],"bytes":1e9}]}}`, `"seconds":0.040004,`},
		{"as if none met", `{"ideal":["contention"],"network":{"topology":"fat-tree","dims":4,"leaf":2,"oversubscription":2,` + links + `,"jobs":[{"ranks":[0,2],"bytes":1e9},{"ranks":[1,3],"bytes":1e9}]}}`, `"seconds":0.020004,`},
		{"without flows either", `{"fidelity":"analytic","ideal":["contention"],"network":{"topology":"fat-tree","dims":4,"leaf":2,"oversubscription":2,` + links + `,"jobs":[{"ranks":[0,2],"bytes":1e9},{"ranks":[1,3],"bytes":1e9}]}}`, `"seconds":0.020004,`},
		{"one collective meets nothing", `{"ideal":["contention"],"network":{"topology":"switch","dims":8,` + links + `,"bytes":1e9}}`, `"path":"/ideal","message":"one collective by itself meets no other"`},
		{"a network has no power", `{"ideal":["power"],"network":{"topology":"switch","dims":4,` + links + `,"jobs":[{"ranks":[0,1],"bytes":1e9}]}}`, `"path":"/ideal/0"`},
		{"a job of rings in two dimensions as by itself", `{"network":{"topology":"torus","dims":[4,4],` + links + `,"jobs":[{"ranks":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15],"bytes":1e9,"algorithm":"multi-ring"}]}}`, `"seconds":0.009381`},
		{"which are of all ranks", `{"network":{"topology":"torus","dims":[4,4],` + links + `,"jobs":[{"ranks":[0,1],"bytes":1e9,"algorithm":"multi-ring"}]}}`, `"path":"/network/jobs/0","message":"job 0: rings in several dimensions are over all ranks`},
		{"chunks", `{"network":{"topology":["ring","switch"],"dims":[8,4],` + links + `,"bytes":1e9,"algorithm":["ring","halving-doubling"],"chunks":8,"active_chunks":2}}`, `"status":"ok"`},
		{"skew by the default algorithm", `{"network":{"topology":"switch","dims":4,"link_gigabytes_per_second":50,"latency_ns":0,"bytes":1000000,"collective":"all-to-all","skew":3}}`, `"seconds":0.00005094`},
		{"skew of a gather", `{"network":{"topology":"switch","dims":4,` + links + `,"bytes":1e9,"collective":"all-gather","skew":3}}`, `"path":"/network/skew"`},
		{"graph and dimensions", `{"network":{"graph":{"ranks":2,"links":[[0,1,50,0]]},"topology":"ring","bytes":1000}}`, `"path":"/network/topology"`},
		{"broadcast over one link", `{"network":{"graph":{"ranks":2,"links":[[0,1,50,0]]},"bytes":1000000,"collective":"broadcast"}}`, `"seconds":0.00002,`},
		{"skew", `{"network":{"topology":"switch","dims":4,` + links + `,"bytes":1e9,"collective":"all-to-all","algorithm":"direct","skew":1}}`, `"status":"ok"`},

		{"deadlock", `{"network":{"topology":"switch","dims":4,` + links + `,"jobs":[{"name":"a","ranks":[0,1],"bytes":1},{"name":"b","ranks":[0,1],"bytes":1}],"order":{"1":["b","a"]}}}`,
			`"path":"/network/order","message":"the groups deadlock: rank 0 waits in a of group [0 1] for rank 1, rank 1 waits in b of group [0 1] for rank 0"`},
		{"a rank that stays away", `{"network":{"topology":"switch","dims":4,` + links + `,"jobs":[{"name":"a","ranks":[0,1],"bytes":1}],"order":{"1":[]}}}`, `"path":"/network/order/1","message":"rank 1 takes part in a 0 times, and group [0 1] waits for it"`},
		{"two parts", `{"network":{"graph":{"ranks":3,"links":[[0,1,50,500]]},"bytes":1,"algorithm":"ring"}}`, `"path":"/network/graph/links","message":"group [0 1 2]: rank 0 cannot reach rank 2`},
		{"a link of nothing", `{"network":{"graph":{"ranks":2,"links":[[0,1,0,500]]},"bytes":1}}`, `"path":"/network/graph/links/0","message":"0 to 1 carries 0 B/s"`},
		{"a dimension of nothing", `{"network":{"topology":["ring","ring"],"dims":[2,2],"link_gigabytes_per_second":[1,0],"latency_ns":1,"bytes":1}}`, `"path":"/network/link_gigabytes_per_second/1"`},
		{"a cut line", `{"network":{"topology":"mesh","dims":4,` + links + `,"bytes":1,"algorithm":"ring","faults":[{"from":1,"to":2}]}}`, `"message":"group [0 1 2 3]: rank 0 cannot reach rank 3`},
		{"a cut link to a switch that reduces", `{"network":{"topology":"switch","dims":4,"reduces":true,` + links + `,"bytes":1,"faults":[{"from":0,"to":4}]}}`, `"message":"group [0 1 2 3]: rank 0 cannot reach rank 1`},
		{"no such link", `{"network":{"topology":"mesh","dims":4,` + links + `,"bytes":1,"faults":[{"from":0,"to":2}]}}`, `"path":"/network/faults/0","message":"there is no link between 0 and 2"`},
		{"a rank twice", `{"network":{"topology":"switch","dims":4,` + links + `,"bytes":1,"algorithm":"ring","groups":[[0,1,0]]}}`, `"path":"/network/groups","message":"group [0 1 0]: rank 0 is in it twice`},
		{"a rank in two groups", `{"network":{"topology":"switch","dims":4,` + links + `,"bytes":1,"algorithm":"ring","groups":[[0,1],[1,2]]}}`, `"message":"rank 1 is in group [0 1] and in group [1 2] at the same time`},
		{"uneven groups", `{"network":{"topology":"switch","dims":6,` + links + `,"bytes":1,"algorithm":"ring","groups":{"ranks":4}}}`, `"path":"/network/groups","message":"6 ranks are not groups of 4, 1 apart"`},
		{"groups of two and of eight", `{"network":{"topology":"switch","dims":10,` + links + `,"bytes":1e9,"algorithm":"ring","groups":[[0,1],[2,3,4,5,6,7,8,9]]}}`, `"path":"/network/groups","message":"group [0 1] has 2 ranks and group [2 3 4 5 6 7 8 9] 8: groups side by side are of one size"`},
		{"no power of two", `{"network":{"topology":"switch","dims":6,` + links + `,"bytes":1,"algorithm":"halving-doubling"}}`, `"path":"/network/algorithm"`},
		{"unknown topology", `{"network":{"topology":"star","dims":6,` + links + `,"bytes":1}}`, `"path":"/network/topology"`},
		{"unknown algorithm", `{"network":{"topology":"ring","dims":6,` + links + `,"bytes":1,"algorithm":"gossip"}}`, `"path":"/network/algorithm"`},
		{"faults have no closed form", `{"fidelity":"analytic","network":{"topology":"ring","dims":4,` + links + `,"bytes":1,"faults":[{"from":0,"to":1}]}}`, `"status":"unsupported"`},
		{"half a rank", `{"network":{"topology":"ring","dims":4.5,` + links + `,"bytes":1}}`, `"path":"/network/dims"`},
		{"more ranks than there are", `{"network":{"topology":"ring","dims":[1e6,1e6],` + links + `,"bytes":1}}`, `"path":"/network/dims/0"`},
		{"chunks of groups", `{"network":{"topology":"switch","dims":4,` + links + `,"bytes":1,"chunks":2,"groups":{"ranks":2}}}`, `"path":"/network/chunks"`},
		{"a link of three numbers", `{"network":{"graph":{"ranks":2,"links":[[0,1,50]]},"bytes":1}}`, `"path":"/network/graph/links/0"`},
	} {
		got, err := o.Answer(t.Context(), []byte(c.request))
		if err != nil || !strings.Contains(string(got), c.want) {
			t.Errorf("%s: %s\n%s, %v\nwant %s", c.name, c.request, got, err, c.want)
		}
	}
}

// What applies to nothing is refused, under the name and in the form that the request has for it; "" is answered.
func TestNetworkChecks(t *testing.T) {
	o := oracle.New(oracle.Options{})
	const links = `"link_gigabytes_per_second":50,"latency_ns":500,"bytes":1e6`
	const rails = `"topology":["switch","fat-tree"],"dims":[4,8],` + links
	for _, c := range []struct{ name, request, code, path string }{
		{"a leaf for the tree alone", `"network":{` + rails + `,"leaf":4,"oversubscription":2}`, "", ""},
		{"a leaf of each", `"network":{` + rails + `,"leaf":[0,4],"oversubscription":[1,2]}`, "", ""},
		{"a dragonfly", `"network":{"topology":["switch","dragonfly"],"dims":[4,8],` + links + `,"leaf":2,"oversubscription":2}`, "", ""},
		{"a dragonfly alone", `"network":{"topology":"dragonfly","dims":8,` + links + `,"leaf":2}`, "", ""},
		{"a tree of trees", `"network":{"topology":"fat-tree","dims":[4,8],` + links + `,"leaf":4,"oversubscription":2}`, "", ""},
		{"half a leaf", `"network":{` + rails + `,"leaf":2.5}`, "range", "/network/leaf"},
		{"half a leaf of two", `"network":{` + rails + `,"leaf":[0,2.5]}`, "range", "/network/leaf/1"},
		{"less than no leaf", `"network":{` + rails + `,"leaf":-1}`, "range", "/network/leaf"},
		{"a leaf in words", `"network":{` + rails + `,"leaf":[0,"4"]}`, "type", "/network/leaf/1"},
		{"a leaf that leaves ranks over", `"network":{` + rails + `,"leaf":3}`, "value", "/network/leaf"},
		{"one of two", `"network":{` + rails + `,"leaf":[0,3]}`, "value", "/network/leaf/1"},
		{"a leaf of a ring", `"network":{"topology":"ring","dims":8,` + links + `,"leaf":4}`, "value", "/network/leaf"},
		{"a leaf of the switch", `"network":{` + rails + `,"leaf":[2,4]}`, "value", "/network/leaf/0"},
		{"too many links between groups", `"network":{"topology":"dragonfly","dims":4096,` + links + `,"leaf":1}`, "value", "/network/leaf"},
		{"another name of it", `"network":{` + rails + `,"group":4}`, "unknown-member", "/network/group"},

		{"oversubscription without leaves", `"network":{` + rails + `,"oversubscription":2}`, "conflict", "/network/oversubscription"},
		{"of a ring", `"network":{"topology":"ring","dims":8,` + links + `,"oversubscription":2}`, "conflict", "/network/oversubscription"},
		{"of a leaf of all", `"network":{` + rails + `,"leaf":8,"oversubscription":2}`, "conflict", "/network/oversubscription"},
		{"of the switch", `"network":{` + rails + `,"leaf":4,"oversubscription":[2,1]}`, "conflict", "/network/oversubscription/0"},
		{"of 0", `"network":{` + rails + `,"leaf":4,"oversubscription":0}`, "range", "/network/oversubscription"},
		{"of 0 in a list", `"network":{` + rails + `,"leaf":4,"oversubscription":[1,0]}`, "range", "/network/oversubscription/1"},
		{"of half", `"network":{` + rails + `,"leaf":4,"oversubscription":0.5}`, "range", "/network/oversubscription"},
		{"of an unknown topology", `"network":{"topology":"clos","dims":8,` + links + `,"leaf":4,"oversubscription":2}`, "value", "/network/topology"},

		{"a switch that reduces", `"network":{` + rails + `,"reduces":true}`, "", ""},
		{"none that does", `"network":{"topology":"fat-tree","dims":8,` + links + `,"reduces":false}`, "", ""},
		{"a tree that reduces", `"network":{"topology":"fat-tree","dims":8,` + links + `,"reduces":true}`, "conflict", "/network/reduces"},
		{"a graph that reduces", `"network":{"graph":{"ranks":2,"links":[[0,1,50,0]]},"bytes":1,"reduces":true}`, "conflict", "/network/reduces"},
		{"a graph of leaves", `"network":{"graph":{"ranks":2,"links":[[0,1,50,0]]},"bytes":1,"leaf":2}`, "conflict", "/network/leaf"},

		{"chunks", `"network":{` + rails + `,"chunks":8,"active_chunks":8}`, "", ""},
		{"one chunk of groups", `"network":{` + rails + `,"chunks":1,"groups":{"ranks":4}}`, "", ""},
		{"chunks of groups", `"network":{` + rails + `,"chunks":2,"groups":{"ranks":4}}`, "conflict", "/network/chunks"},
		{"of a graph", `"network":{"graph":{"ranks":2,"links":[[0,1,50,0]]},"bytes":1,"chunks":2}`, "conflict", "/network/chunks"},
		{"of a send", `"network":{` + rails + `,"collective":"send-recv","chunks":2}`, "conflict", "/network/chunks"},
		{"of a skew", `"network":{` + rails + `,"collective":"all-to-all","skew":1,"chunks":2}`, "conflict", "/network/chunks"},
		{"of rings in all dimensions", `"network":{"topology":"torus","dims":[4,4],` + links + `,"algorithm":"multi-ring","chunks":2}`, "conflict", "/network/chunks"},
		{"of jobs", `"network":{"topology":"switch","dims":4,"link_gigabytes_per_second":50,"latency_ns":500,"jobs":[{"ranks":[0,1],"bytes":1}],"chunks":2}`, "unknown-member", "/network/chunks"},
		{"more under way than there are", `"network":{` + rails + `,"chunks":2,"active_chunks":3}`, "conflict", "/network/active_chunks"},
		{"more than one", `"network":{` + rails + `,"active_chunks":2}`, "conflict", "/network/active_chunks"},

		{"a closed form", `"fidelity":"analytic","network":{"topology":["switch","ring"],"dims":[4,8],` + links + `,"chunks":2}`, "", ""},
		{"none of leaves", `"fidelity":"analytic","network":{` + rails + `,"leaf":4}`, "not-simulated", "/fidelity"},
		{"none of a line", `"fidelity":"analytic","network":{"topology":"mesh","dims":4,` + links + `,"algorithm":"ring"}`, "not-simulated", "/fidelity"},
		{"none of a send", `"fidelity":"analytic","network":{"topology":"switch","dims":131072,` + links + `,"collective":"send-recv"}`, "not-simulated", "/fidelity"},
		{"none of a skew", `"fidelity":"analytic","network":{` + rails + `,"collective":"all-to-all","skew":1}`, "not-simulated", "/fidelity"},
		{"none of rings in all dimensions", `"fidelity":"analytic","network":{"topology":"torus","dims":[4,4],` + links + `,"algorithm":"multi-ring"}`, "not-simulated", "/fidelity"},
		{"none of a graph", `"fidelity":"analytic","network":{"graph":{"ranks":2,"links":[[0,1,50,0]]},"bytes":1}`, "not-simulated", "/fidelity"},
		{"none of groups", `"fidelity":"analytic","network":{` + rails + `,"groups":{"ranks":4}}`, "not-simulated", "/fidelity"},
		{"an unknown algorithm", `"fidelity":"analytic","network":{` + rails + `,"algorithm":["ring","gossip"]}`, "value", "/network/algorithm/1"},
	} {
		line, err := o.Answer(t.Context(), []byte("{"+c.request+"}"))
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Status string
			Error  struct{ Code, Path string }
		}
		if err := json.Unmarshal(line, &got); err != nil || got.Error.Code != c.code || got.Error.Path != c.path || (got.Status == "ok") != (c.code == "") {
			t.Errorf("%s: {%s}\n%s\nwant %q at %q", c.name, c.request, line, c.code, c.path)
		}
	}
}
