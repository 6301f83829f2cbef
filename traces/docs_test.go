package traces

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var page = filepath.Join("..", "docs", "trace-format.md")

// tables are the parts of the page that are generated, by the name in their markers.
func tables() map[string]string {
	var records, kindTable, types strings.Builder
	titles := [numRecords]string{"The header", "A block", "A tensor", "An operator", "A run of a block"}
	for i, docs := range memberDocs {
		fmt.Fprintf(&records, "\n### %s\n\n| member | value | without it | meaning |\n|---|---|---|---|\n", titles[i])
		for _, d := range docs {
			meaning := d.meaning
			if d.of != nil {
				meaning += " (" + kindsOf(d.of) + ")"
			}
			fmt.Fprintf(&records, "| `%s` | %s | %s | %s |\n", d.name, d.kind, d.without, meaning)
		}
	}
	fmt.Fprint(&kindTable, "\n| kind | members | simple operations | transcendental | reads | writes |\n|---|---|---|---|---|---|\n")
	for k := range Kind(numKinds) {
		var members []string
		for _, d := range memberDocs[recOp] {
			if d.of != nil && d.of(k) && d.required(k) {
				members = append(members, "`"+d.name+"`")
			}
		}
		var simple, special, reads, writes string
		switch d := &kinds[k]; d.family {
		case product:
			simple, special, reads, writes = "2·batch·m·n·k in the matrix unit", "", "A, B", "C"
		case attending:
			simple = fmt.Sprintf("2·(head_dim + value_dim) in the matrix unit and %d for each pair of a query and a key that it sees", kinds[Softmax].vector)
			special, reads, writes = "1 a pair", "queries, cached and new keys and values", "as much as the queries"
		case rowWise:
			simple, special = counts(d.vector, d.vectorPerRow), counts(d.special, d.specialPerRow)
			reads = fmt.Sprintf("%d×", d.reads)
			if d.readsFromTable {
				reads = "a row of the table and an int32 a row"
			}
			if d.columnWeights > 0 {
				reads += fmt.Sprintf(", %d a column", d.columnWeights)
			}
			writes = fmt.Sprintf("%d×", d.writes)
			if k == Quantize {
				writes += " in the narrower format, with its scales"
			}
		case mixture:
			simple = fmt.Sprintf("2·hidden·intermediate for each matrix and row in the matrix unit; %d for an inner element and one for an element of a row", kinds[SiLUMul].vector)
			special, reads, writes = "2 an inner element", "the tokens and the weights of the experts that are chosen", "as much as the tokens"
		case collective:
			reads, writes = "`bytes`", "`bytes`"
		}
		fmt.Fprintf(&kindTable, "| `%s` | %s | %s | %s | %s | %s |\n", k, strings.Join(members, " "), simple, special, reads, writes)
	}
	fmt.Fprint(&types, "\n| type | bits | scale and zero point | also called |\n|---|---|---|---|\n")
	for _, d := range dtypes {
		fmt.Fprintf(&types, "| `%s` | %d | %s | %s |\n", d.name, d.bits, d.scales(), strings.Join(d.aliases, ", "))
	}
	return map[string]string{"records": records.String(), "kinds": kindTable.String(), "types": types.String()}
}

// scales says which elements share a scale.
func (d *format) scales() string {
	switch {
	case d.along == 0:
		return ""
	case d.along == whole:
		return fmt.Sprintf("%d bits a vector along the reduction", d.scale)
	case d.across > 1:
		return fmt.Sprintf("%d bits for each %d×%d", d.scale, d.along, d.across)
	case d.outer > 0:
		return fmt.Sprintf("%d bits for each %d, and 32 for each %d", d.scale, d.along, d.outer)
	}
	return fmt.Sprintf("%d bits for each %d", d.scale, d.along)
}

// counts writes operations by element and by row.
func counts(element, row int64) string {
	var s []string
	if element > 0 {
		s = append(s, fmt.Sprintf("%d an element", element))
	}
	if row > 0 {
		s = append(s, fmt.Sprintf("%d a row", row))
	}
	return strings.Join(s, ", ")
}

// kindsOf says which kinds have a member.
func kindsOf(of func(Kind) bool) string {
	var has []string
	rows := 0
	for k := range Kind(numKinds) {
		if of(k) {
			has = append(has, k.String())
			if k.RowWise() {
				rows++
			}
		}
	}
	switch {
	case rows == len(has) && rows > 5:
		return "row-wise and element-wise kinds"
	case len(has) > 5:
		return "collectives"
	}
	return strings.Join(has, ", ")
}

// TestPageTables: the tables of the page are those that the reader works by.
func TestPageTables(t *testing.T) {
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for name, want := range tables() {
		begin, end := "<!-- begin "+name+" -->\n", "\n<!-- end "+name+" -->"
		i := strings.Index(text, begin)
		j := strings.Index(text, end[1:])
		if i < 0 || j < i {
			t.Errorf("%s has no part %s", page, name)
			continue
		}
		i += len(begin)
		if got := text[i:j]; got != want+"\n" {
			if !*update {
				t.Errorf("%s: the part %s is old; go test ./traces -update rewrites it", page, name)
			}
			text = text[:i] + want + "\n" + text[j:]
		}
	}
	if *update && text != string(raw) {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPageExamples reads the examples of the page.
func TestPageExamples(t *testing.T) {
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var examples []string
	for i, part := range strings.Split(string(raw), "```") {
		if body, ok := strings.CutPrefix(part, "json\n"); ok && i%2 == 1 {
			examples = append(examples, body)
		}
	}
	if len(examples) != 2 {
		t.Fatalf("%d examples", len(examples))
	}
	var graphs []*Graph
	for _, e := range examples {
		g, err := Read("example.jsonl", strings.NewReader(e))
		if err != nil {
			t.Fatalf("%v in\n%s", err, e)
		}
		graphs = append(graphs, g)
	}
	// Two weights of 4096×16384 and a norm of two vectors, in 16 bits.
	if got := graphs[0].totals().weights; got != 2*(2*4096*16384+2*4096) {
		t.Errorf("the first example has weights of %g bytes", got)
	}
	// 24 layers with keys and values of 4 sequences, 4 heads of 64, 1025 tokens.
	if got := graphs[1].totals().cache; got != 24*2*2*4*4*64*1025 {
		t.Errorf("the second example has a cache of %g bytes", got)
	}
}

// TestMembersAreReadAndWritten: a file with every member that the table has is read, written and has
// them all again.
func TestMembersAreReadAndWritten(t *testing.T) {
	const all = `{"trace":"strata.trace/1","model":"m","phase":"serve","batch":3,"prompt":5,"generate":2,"arrivals":"burst","dtype":"fp16","lines":12}
{"block":"b"}
{"tensor":"x","shape":[2],"dtype":"fp8","role":"kv"}
{"op":"g","kind":"gemm","inputs":["x"],"outputs":["x"],"split":"row","batch":1,"m":2,"n":3,"k":4,"parts":[1,2],"distinct":7,"accumulate":3,"dtype":"fp8","weight_dtype":"int8","to_dtype":"fp32","weight":false}
{"op":"a","kind":"attention","batch":2,"heads":4,"kv_heads":2,"head_dim":8,"q_len":3,"past_len":5,"causal":false,"cross":true,"kv_dtype":"int8"}
{"op":"w","kind":"attention","heads":4,"head_dim":8,"q_len":3,"window":4,"value_dim":6,"cache_dim":9,"latent":true,"uncached":true,"dropout":true,"relative":"bias","gradient":true}
{"op":"e","kind":"moe","tokens":5,"hidden":6,"intermediate":7,"experts":8,"top_k":2,"ep":4,"skew_milli":1010,"gated":false,"weight_dtype":"fp8"}
{"op":"r","kind":"add","rows":7,"cols":9}
{"op":"c","kind":"all-reduce","bytes":11}
{"op":"q","kind":"quantize","rows":7,"cols":9,"to_dtype":"fp8"}
{"op":"p","kind":"gemm","batch":2,"m":2,"n":3,"k":4}
{"run":"b","phase":"decode","step":1,"first_layer":2,"times":3,"repeat":5,"past":4}
`
	g, err := Read("all", strings.NewReader(all))
	if err != nil {
		t.Fatal(err)
	}
	speculative := strings.Replace(all, `"phase":"serve"`, `"phase":"generate"`, 1)
	speculative = strings.Replace(speculative, `"arrivals":"burst"`, `"wave":2,"groups":3,"draft":"d","draft_tokens":3,"acceptance":"0.5"`, 1)
	s, err := Read("speculative", strings.NewReader(speculative))
	if err != nil {
		t.Fatal(err)
	}
	if header, _, _ := strings.Cut(text(t, s), "\n"); !strings.HasPrefix(speculative, header) {
		t.Errorf("got\n%s", header)
	}
	got := text(t, g)
	if want := strings.Replace(all, `"batch":1,"m"`, `"m"`, 1); got != want { // 1 is the default
		t.Errorf("got\n%s", got)
	}
	for i, docs := range memberDocs {
		if len(docs) > len(reader{}.values) {
			t.Fatalf("%s has too many members for the reader", recordNames[i])
		}
		for j, d := range docs {
			if !strings.Contains(got+speculative, `"`+d.name+`":`) {
				t.Errorf("%s.%s is not tested here", recordNames[i], d.name)
			}
			if slices.ContainsFunc(docs[:j], func(e memberDoc) bool { return e.name == d.name }) {
				t.Errorf("%s.%s is in the table twice", recordNames[i], d.name)
			}
		}
	}
}
