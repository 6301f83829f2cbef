package traces

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

const head = `{"trace":"strata.trace/1"}` + "\n"

func TestReadByHand(t *testing.T) {
	g, err := Read("hand.jsonl", strings.NewReader("\xEF\xBB\xBF# a feed-forward network\r\n\r\n"+`{"trace":"strata.trace/1","dtype":"torch.float16"}`+"\r\n"+
		`{"kind":"rmsnorm","rows":8,"cols":64}`+"\r\n"+
		` { "op" : "up" , "kind" : "gemm" , "m" : 8 , "n" : 2.56e2 , "k" : 64.0 , "weight_dtype" : "int8" } `+"\r\n"+
		`{"kind":"gemm","batch":2,"m":1,"n":2,"k":3}`+"\n"+
		`{"tensor":"w","shape":[256,64],"role":"weight"}`+"\n\t\n"+
		`{"tensor":"\u00e9\n"`+"x\n"[:0]+`,"shape":[1]}`+"\n"))
	if err == nil || !strings.Contains(err.Error(), "hand.jsonl:9: tensor: a name with control characters") {
		t.Errorf("%v, %v", g, err)
	}

	g, err = Read("hand.jsonl", strings.NewReader("\xEF\xBB\xBF# a feed-forward network\r\n\r\n"+`{"trace":"strata.trace/1","dtype":"torch.float16"}`+"\r\n"+
		`{"kind":"rmsnorm","rows":8,"cols":64}`+"\r\n"+
		` { "op" : "up" , "kind" : "gemm" , "m" : 8 , "n" : 2.56e2 , "k" : 64.0 , "weight_dtype" : "int8" } `+"\r\n"+
		`{"kind":"gemm","batch":2,"m":1,"n":2,"k":3}`+"\n"+
		`{"tensor":"w","shape":[256,64],"role":"weight"}`+"\n\t\n"+
		`{"op":"down","kind":"gemm","inputs":["w"],"split":"row","m":8,"n":64,"k":256}`+"\n"+
		`{"kind":"attention","heads":4,"head_dim":16,"q_len":8}`+"\n"+
		`{"kind":"layernorm","rows":8,"cols":64}`+"\n"+
		`{"op":"plain","kind":"gemm","m":1,"n":1,"k":1,"weight":false}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Graph{
		Phase: "prefill", Batch: 1, DType: FP16,
		Blocks: []Block{{
			Name: "main",
			Tensors: []Tensor{
				{"rmsnorm1.weight", []int64{64}, FP16, Weight},
				{"up.weight", []int64{64, 256}, INT8, Weight},
				{"w", []int64{256, 64}, FP16, Weight},
				{"layernorm6.weight", []int64{2, 64}, FP16, Weight},
			},
			Ops: []Op{
				{Name: "rmsnorm1", Kind: RMSNorm, Inputs: []TensorID{0}, DType: FP16, WeightDType: FP16, KVDType: FP16, Rows: 8, Cols: 64},
				{Name: "up", Kind: Gemm, Inputs: []TensorID{1}, DType: FP16, WeightDType: INT8, KVDType: FP16, Batch: 1, M: 8, N: 256, K: 64},
				{Name: "gemm3", Kind: Gemm, DType: FP16, WeightDType: FP16, KVDType: FP16, Batch: 2, M: 1, N: 2, K: 3},
				{Name: "down", Kind: Gemm, Split: Row, Inputs: []TensorID{2}, DType: FP16, WeightDType: FP16, KVDType: FP16, Batch: 1, M: 8, N: 64, K: 256},
				{Name: "attention5", Kind: Attention, DType: FP16, WeightDType: FP16, KVDType: FP16, Batch: 1, Heads: 4, KVHeads: 4, HeadDim: 16, QLen: 8, Causal: true},
				{Name: "layernorm6", Kind: LayerNorm, Inputs: []TensorID{3}, DType: FP16, WeightDType: FP16, KVDType: FP16, Rows: 8, Cols: 64},
				{Name: "plain", Kind: Gemm, DType: FP16, WeightDType: FP16, KVDType: FP16, Batch: 1, M: 1, N: 1, K: 1},
			},
		}},
		Runs: []Run{{Times: 1}},
	}
	if !reflect.DeepEqual(g, want) {
		t.Errorf("got\n%+v\nwant\n%+v", g, want)
	}
	back, err := Read("again", strings.NewReader(text(t, g)))
	if err != nil || back.Hash() != g.Hash() {
		t.Error(err)
	}
}

// TestReadRuns: what is run when the file does not say everything.
func TestReadRuns(t *testing.T) {
	const add = `{"kind":"add","rows":1,"cols":1}` + "\n"
	const attention = `{"kind":"attention","heads":1,"head_dim":1,"q_len":1}` + "\n"
	const own = `{"kind":"attention","heads":1,"head_dim":1,"q_len":1,"past_len":5}` + "\n"
	block := func(name string) string { return fmt.Sprintf("{\"block\":%q}\n", name) }
	for _, tt := range []struct {
		name, header, text string
		want               []Run
		notes              []string
	}{
		{"a block that no run names is run where it stands", "", block("a") + add + block("b") + add + `{"run":"b","times":3}` + "\n" + block("c") + add + `{"run":"b"}` + "\n",
			[]Run{{Block: 0, Times: 1}, {Block: 1, Times: 3}, {Block: 2, Times: 1}, {Block: 1, Times: 1}}, nil},
		{"a block may be named later", "", block("a") + add + block("b") + add + `{"run":"b"}` + "\n" + `{"run":"a"}` + "\n",
			[]Run{{Block: 1, Times: 1}, {Block: 0, Times: 1}}, nil},
		{"decode takes the prompt as cached", `,"phase":"decode","prompt":9`, block("a") + attention + `{"run":"a","step":1}` + "\n",
			[]Run{{Phase: Decode, Step: 1, Times: 1, Past: 9}}, nil},
		{"also without runs", `,"phase":"decode","prompt":9`, attention, []Run{{Phase: Decode, Times: 1, Past: 9}}, nil},
		{"unless an operator says it", `,"phase":"decode","prompt":9`, own, []Run{{Phase: Decode, Times: 1}}, nil},
		{"or the run", `,"phase":"decode","prompt":9`, block("a") + attention + `{"run":"a","past":0}` + "\n", []Run{{Phase: Decode, Times: 1}}, nil},
		{"generate: a run says its phase", `,"phase":"generate","prompt":9`, block("a") + attention + `{"run":"a"}` + "\n" + `{"run":"a","phase":"decode"}` + "\n",
			[]Run{{Times: 1}, {Phase: Decode, Times: 1, Past: 9}}, nil},
		{"cut in a later step", `,"phase":"generate","prompt":9,"lines":99`, block("a") + attention + `{"run":"a","phase":"decode","step":4,"past":12}` + "\n" + block("b") + attention + `{"run":"b",`,
			[]Run{{Phase: Decode, Step: 4, Times: 1, Past: 12}, {Block: 1, Phase: Decode, Step: 4, Times: 1, Past: 12}},
			[]string{"f: truncated after line 6 of 99; a last line that was cut is dropped; block b is run once, because its run is missing"}},
		{"cut at the start of a block", `,"lines":99`, block("a") + add + `{"run":"a"}` + "\n" + block("b") + `{"tensor":"x","shape":[1]}`,
			[]Run{{Times: 1}}, []string{"f: truncated after line 6 of 99; block b, of which no operator is left, is dropped"}},
		{"cut between runs", `,"lines":99`, block("a") + add + `{"run":"a"}` + "\n", []Run{{Times: 1}}, []string{"f: truncated after line 4 of 99"}},
		{"cut, and the header does not know", "", add + `{"ki`, []Run{{Times: 1}},
			[]string{"f: truncated after line 2; a last line that was cut is dropped; block main is run once, because its run is missing"}},
		{"comments are no records", `,"lines":2`, "# more\n\n" + add + "#", []Run{{Times: 1}}, nil},
		{"lines were added", `,"lines":2`, add + add, []Run{{Times: 1}}, []string{`f: the header speaks of 2 lines, there are 3; correct or remove its member "lines"`}},
	} {
		g, err := Read("f", strings.NewReader(`{"trace":"strata.trace/1"`+tt.header+"}\n"+tt.text))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if !reflect.DeepEqual(g.Runs, tt.want) || !reflect.DeepEqual(g.Notes, tt.notes) {
			t.Errorf("%s:\n got %+v, %q\nwant %+v, %q", tt.name, g.Runs, g.Notes, tt.want, tt.notes)
		}
	}
}

func TestReadBlockNames(t *testing.T) {
	const add = `{"kind":"add","rows":1,"cols":1}` + "\n"
	for _, tt := range []struct{ names, want []string }{
		{[]string{"a", "a#2", "a#3"}, []string{"a", "a", "a"}},
		{[]string{"a", "a#3"}, []string{"a", "a#3"}},
		{[]string{"a#2"}, []string{"a#2"}},
		{[]string{"a#2", "a"}, []string{"a#2", "a"}},
		{[]string{"a", "a#02"}, []string{"a", "a#02"}},
	} {
		var b strings.Builder
		b.WriteString(head)
		for _, n := range tt.names {
			fmt.Fprintf(&b, "{\"block\":%q}\n%s", n, add)
		}
		g, err := Read("f", strings.NewReader(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range g.Blocks {
			got = append(got, g.Blocks[i].Name)
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q gives %q, want %q", tt.names, got, tt.want)
		}
		for i, n := range g.blockNames() {
			if n != tt.names[i] {
				t.Errorf("%q would be written as %q", tt.names, g.blockNames())
			}
		}
	}
}

func TestReadErrors(t *testing.T) {
	const op = `{"op":"a","kind":"add","rows":1,"cols":1}` + "\n"
	long := strings.Repeat("x", 300)
	for _, tt := range []struct{ name, text, want string }{
		// Not a trace.
		{"empty", "", `f:1: the file is empty (a trace begins with a line such as {"trace":"strata.trace/1"})`},
		{"only comments", "# a\n\n", "f:2: the file is empty"},
		{"only a header", head, `f:1: the trace has a header and no operators (add records such as {"op"`},
		{"only a header, of more", `{"trace":"strata.trace/1","lines":9}`, "f:1: the file was cut before its first operator (nothing can be replayed)"},
		{"cut in the header", head[:15], "f:1: the file ends inside its header (it was cut there; nothing can be replayed)"},
		{"half a header", head[:15] + "\n", "f:1: not an operator trace: column 16: the line ends inside the object"},
		{"newer", `{"trace":"strata.trace/2","model":7,"news":[]}`, `f:1: trace: "strata.trace/2": this program reads version 1 of the format (update strata)`},
		{"no version", `{"trace":"strata.trace/one"}`, `this program reads version 1 of the format (write "strata.trace/1")`},
		{"another format", `{"trace":"chakra"}`, `f:1: trace: "chakra" is not the format of an operator trace (write "strata.trace/1")`},
		{"another type", `{"trace":{}}`, `trace must be the string "strata.trace/1", is an object`},
		{"no header", op, `f:1: the header is missing (begin the file with {"trace":"strata.trace/1"})`},
		{"no header, no name", `{"kind":"add"}`, "f:1: the header is missing"},
		{"config.json", "{\n  \"architectures\": [\"LlamaForCausalLM\"],\n  \"hidden_size\": 4096\n}\n", "f:1: not an operator trace but the configuration of a model (pass it with --model instead)"},
		{"config.json on a line", `{"model_type":"llama"}`, "pass it with --model instead"},
		{"machine", "name: a\nchip:\n  clock: 1 GHz\n", "not an operator trace but the description of a machine (pass it with --arch instead)"},
		{"answer", `{"schema":"strata.run/1"}`, "not an operator trace but the answer of a run"},
		{"timeline", "{\n \"traceEvents\": []}", "not an operator trace but a profiler's timeline (convert it with strata trace import)"},
		{"prose", "hello\n", "not an operator trace, which is JSON Lines"},
		{"array", "[1]\n", "not an operator trace: column 1: a record is a JSON object in braces, found '['"},
		{"another object", `{"a":1}`, `not an operator trace: its first record has no member "trace"`},
		{"gzip", "\x1f\x8b\x08\x00", "f:1: the file is compressed with gzip (gunzip it first)"},
		{"binary", "\x7fELF\x00\x01", "f:1: a binary file, not an operator trace"},
		{"UTF-16", "\xff\xfe{\x00", "f:1: the file is in UTF-16 (save it as UTF-8)"},
		{"database", "SQLite format 3\x00", "the file is a database"},
		// The header.
		{"batch", `{"trace":"strata.trace/1","batch":0}` + "\n" + op, "f:1: trace.batch: 0: must be from 1 to 2147483648"},
		{"tokens", `{"trace":"strata.trace/1","prompt":1000000000000000000}` + "\n" + op, "f:1: trace.prompt: 1000000000000000000: must be from 0 to 2147483648"},
		{"phase", `{"trace":"strata.trace/1","phase":"decoed"}` + "\n" + op, `f:1: trace.phase: unknown phase "decoed" (did you mean "decode"?)`},
		{"dtype", `{"trace":"strata.trace/1","dtype":"bf17"}` + "\n" + op, `f:1: trace.dtype: unknown data type "bf17" (did you mean "bf16"?)`},
		{"unknown member", `{"trace":"strata.trace/1","modle":"x"}` + "\n" + op, `f:1: trace.modle: unknown member (did you mean "model"?)`},
		{"model", `{"trace":"strata.trace/1","model":7}` + "\n" + op, "f:1: trace.model: must be a string, is a number"},
		{"second header", head + op + head, "f:3: trace: a second header (one trace a file)"},
		// Syntax.
		{"half a line", head + `{"op":"a",` + "\n" + op, "f:2: the line ends inside the object (every record is on one line)"},
		{"half a line at the end", head + op + `{"op":"a",` + "\n", "f:3: the line ends inside the object"},
		{"half a word", head + op + `{"op":tru` + "\n", "f:3: the line ends inside the object"},
		{"text after it", head + op[:len(op)-1] + " x\n", "f:2: column 43: text after the object: 'x' (one object a line)"},
		{"two objects", head + op[:len(op)-1] + op, "text after the object: '{'"},
		{"NaN", head + `{"kind":"add","rows":NaN,"cols":1}`, "f:2: column 22: NaN is not a number that a trace can hold (counts are whole numbers)"},
		{"-Infinity", head + `{"kind":"add","rows":-Infinity,"cols":1}`, "Infinity is not a number that a trace can hold"},
		{"unit", head + `{"kind":"all-reduce","bytes":80MB}`, "a number is followed by 'M' (counts are plain numbers without a unit)"},
		{"leading zero", head + `{"kind":"add","rows":012,"cols":1}`, "a number must not begin with zero"},
		{"single quotes", head + `{"kind":'add'}`, "a value is missing, found '\\'' (strings are in double quotes)"},
		{"no quotes", head + `{"kind":add}`, `"add" is not a value (strings are in double quotes)`},
		{"trailing comma", head + `{"kind":"add",}`, "a member begins with its name in double quotes, found '}'"},
		{"no colon", head + `{"kind" "add"}`, "a colon must follow the name of a member"},
		{"no comma", head + `{"kind":"add" "rows":1}`, "a comma or a closing brace must follow a value"},
		{"in an array", head + `{"parts":[1 2]}`, "a comma or ']' must follow, found '2'"},
		{"escape", head + `{"kind":"\x"}`, "an unknown escape in a string"},
		{"short escape", head + `{"kind":"\u12g4"}`, `four hexadecimal digits must follow \u`},
		{"control character", head + "{\"kind\":\"\x01\"}", "a control character in a string"},
		{"binary data", head + "\x00\x00\n" + op, "f:2: binary data"},
		{"Latin-1", head + "{\"op\":\"\xe9\",\"kind\":\"add\",\"rows\":1,\"cols\":1}", "f:2: text that is not UTF-8 (save the file as UTF-8)"},
		{"depth", head + `{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}", "arrays and objects are nested too deeply"},
		{"members", head + "{" + strings.Repeat(`"a":1,`, 70) + `"b":1}`, "more than 64 members"},
		// Records and members.
		{"nothing known", head + `{"oop":"a"}`, `f:2: neither a block nor a tensor, an operator or a run (did you mean "op"?)`},
		{"empty object", head + `{}`, `f:2: neither a block nor a tensor, an operator or a run (one of "block"`},
		{"two records", head + `{"op":"a","tensor":"b"}`, `f:2: a record is either "op" or "tensor" (write two lines)`},
		{"twice", head + `{"op":"a","kind":"add","rows":1,"rows":2,"cols":1}`, "f:2: op.rows: given twice"},
		{"twice, escaped", head + `{"op":"a","kind":"add","rows":1,"r\u006fws":2,"cols":1}`, "f:2: op.rows: given twice"},
		{"unknown", head + `{"op":"a","kind":"add","row":1,"cols":1}`, `f:2: op.row: unknown member (did you mean "rows"?)`},
		{"another kind's", head + `{"op":"a","kind":"add","rows":1,"cols":1,"m":1}`, "f:2: op.m: no member of add (it has rows, cols)"},
		{"missing", head + `{"op":"a","kind":"gemm","m":1}`, "f:2: op.n: missing, and so is k (gemm needs it)"},
		{"no kind", head + `{"op":"a"}`, "f:2: op.kind: missing (known: gemm, attention"},
		{"kind", head + `{"op":"a","kind":"gem"}`, `f:2: op.kind: unknown kind of operator "gem" (did you mean "gemm"?)`},
		{"type of kind", head + `{"op":"a","kind":1}`, "f:2: op.kind: must be a string, is a number"},
		{"split", head + `{"op":"a","kind":"add","rows":1,"cols":1,"split":"colum"}`, `f:2: op.split: unknown split "colum" (did you mean "column"?)`},
		{"dtype of weights", head + `{"op":"a","kind":"gemm","m":1,"n":1,"k":1,"weight_dtype":"int5"}`, `f:2: op.weight_dtype: unknown data type "int5" (did you mean`},
		{"role", head + `{"tensor":"a","shape":[1],"role":"wieght"}` + "\n" + op, `f:2: tensor.role: unknown role "wieght" (did you mean "weight"?)`},
		{"string for a number", head + `{"op":"a","kind":"add","rows":"1024","cols":1}`, `f:2: op.rows: must be a whole number, is the string "1024" (write the number without quotes)`},
		{"null", head + `{"op":"a","kind":"add","rows":null,"cols":1}`, "f:2: op.rows: must be a whole number, is null"},
		{"fraction", head + `{"op":"a","kind":"add","rows":2.5,"cols":1}`, "f:2: op.rows: 2.5: must be a whole number"},
		{"small fraction", head + `{"op":"a","kind":"add","rows":1e-400,"cols":1}`, "f:2: op.rows: 1e-400: must be a whole number"},
		{"negative", head + `{"op":"a","kind":"add","rows":-3,"cols":1}`, "f:2: op.rows: rows -3: must be from 1 to 2147483648"},
		{"zero", head + `{"op":"a","kind":"add","rows":0,"cols":1}`, "f:2: op.rows: rows 0: must be from 1"},
		{"large", head + `{"op":"a","kind":"add","rows":1000000000000000000,"cols":1}`, "f:2: op.rows: rows 1000000000000000000: must be from 1 to 2147483648"},
		{"larger", head + `{"op":"a","kind":"add","rows":1e999999999999,"cols":1}`, "f:2: op.rows: 1e999999999999: too large (at most 9223372036854775807)"},
		{"2^63", head + `{"op":"a","kind":"all-reduce","bytes":9223372036854775808}`, "f:2: op.bytes: 9223372036854775808: too large"},
		{"causal", head + `{"kind":"attention","heads":1,"head_dim":1,"q_len":1,"causal":1}`, "f:2: op.causal: must be true or false, is a number"},
		{"heads", head + `{"kind":"attention","heads":32,"kv_heads":5,"head_dim":1,"q_len":1}`, "f:2: op.kv_heads: 32 query heads cannot share 5 key/value heads evenly (heads must be a multiple of kv_heads)"},
		{"parts", head + `{"kind":"gemm","m":1,"n":4,"k":1,"parts":[1,2]}`, "f:2: op.parts: parts sum to 3 columns, n is 4"},
		{"a part", head + `{"kind":"gemm","m":1,"n":4,"k":1,"parts":[1,"3"]}`, "f:2: op.parts[1]: must be a whole number"},
		{"no array", head + `{"kind":"gemm","m":1,"n":4,"k":1,"parts":4}`, "f:2: op.parts: must be an array, is a number (write it in brackets)"},
		{"operator twice", head + op + op, `f:3: op: there is an operator "a" already in this block`},
		{"empty name", head + `{"op":"","kind":"add","rows":1,"cols":1}`, "f:2: op: no name"},
		{"long name", head + `{"op":"` + long + `","kind":"add","rows":1,"cols":1}`, "f:2: op: a name of 300 bytes: at most 256 are supported"},
		{"long name of a weight", head + `{"op":"` + long[:254] + `","kind":"gemm","m":1,"n":1,"k":1}`, "f:2: op: a name of 254 bytes is too long for its weight to be named after it"},
		{"weight", head + `{"op":"a","kind":"gemm","m":1,"n":2147483648,"k":2147483648}`, "f:2: op: its weight: too many elements"},
		{"overflow", head + `{"op":"a","kind":"gemm","m":2147483648,"n":2147483648,"k":1}`, "f:2: op: operator a of block main: operations or bytes exceed a 64-bit count"},
		// Tensors, blocks and runs.
		{"unknown tensor", head + `{"tensor":"hidden","shape":[1]}` + "\n" + `{"op":"a","kind":"add","inputs":["hiden"],"rows":1,"cols":1}`, `f:3: op.inputs[0]: unknown tensor "hiden" (did you mean "hidden"?)`},
		{"no tensors", head + `{"op":"a","kind":"add","outputs":["h"],"rows":1,"cols":1}`, `f:2: op.outputs[0]: unknown tensor "h" (tensors are declared in the block, before the operators that use them)`},
		{"type of an input", head + `{"op":"a","kind":"add","inputs":[1],"rows":1,"cols":1}`, "f:2: op.inputs[0]: must be the name of a tensor, is a number"},
		{"no shape", head + `{"tensor":"x"}` + "\n" + op, "f:2: tensor.shape: missing (e.g. [4096, 4096])"},
		{"empty shape", head + `{"tensor":"x","shape":[]}` + "\n" + op, "f:2: tensor.shape: no shape"},
		{"dimension", head + `{"tensor":"x","shape":[4,0]}` + "\n" + op, "f:2: tensor.shape: dimension 0: must be from 1"},
		{"shape of strings", head + `{"tensor":"x","shape":["a"]}` + "\n" + op, "f:2: tensor.shape[0]: must be a whole number"},
		{"tensor twice", head + `{"tensor":"x","shape":[4]}` + "\n" + `{"tensor":"x","shape":[4]}` + "\n" + op, `f:3: tensor: there is a tensor "x" already, from line 2`},
		{"writes a weight", head + `{"tensor":"x","shape":[4],"role":"weight"}` + "\n" + `{"op":"a","kind":"add","outputs":["x"],"rows":1,"cols":1}`, "f:3: op.outputs: operator a of block main: writes the weight x"},
		{"order", head + `{"tensor":"x","shape":[4]}` + "\n" + `{"op":"a","kind":"add","inputs":["x"],"rows":1,"cols":1}` + "\n" + `{"op":"b","kind":"add","outputs":["x"],"rows":1,"cols":1}`, "f:3: op.inputs: operator a of block main: reads x before it is written by b"},
		{"block twice", head + `{"block":"b"}` + "\n" + op + `{"block":"b"}` + "\n" + op, `f:4: block: there is a block "b" already, on line 2 (give it another name)`},
		{"empty block", head + `{"block":"b"}` + "\n" + `{"block":"c"}` + "\n" + op, `f:2: block: block "b" has no operators`},
		{"empty block at the end", head + op + `{"block":"b"}` + "\n", `f:3: block: block "b" has no operators`},
		{"block of another type", head + `{"block":1}` + "\n" + op, "f:2: block: must be a string, is a number"},
		{"run of an empty block", head + `{"block":"b"}` + "\n" + `{"run":"b"}` + "\n", `f:2: block: block "b" has no operators`},
		{"unknown block", head + `{"block":"layer"}` + "\n" + op + `{"run":"layr"}` + "\n", `f:4: run: unknown block "layr" (did you mean "layer"?)`},
		{"run first", head + `{"run":"layer"}` + "\n", `f:2: run: unknown block "layer" (a block stands before the runs that name it)`},
		{"operator after a run", head + op + `{"run":"main"}` + "\n" + op, `f:4: op: belongs to no block: a run ended the last one (begin another with {"block":"NAME"})`},
		{"times", head + op + `{"run":"main","times":0}` + "\n", "f:3: run.times: times 0: must be from 1 to 2147483648"},
		{"phase of a run", head + op + `{"run":"main","phase":"generate"}` + "\n", `f:3: run.phase: unknown phase "generate" (known: prefill, decode, forward, backward, update)`},
		{"long past", head + `{"op":"a","kind":"attention","batch":2147483648,"heads":1,"head_dim":1073741824,"q_len":1}` + "\n" + `{"run":"main","past":2147483648}` + "\n", "f:2: op: operator a of block main: operations or bytes exceed a 64-bit count"},
		{"terminal", head + `{"op":"a","kind":"add","rows":1,"cols":1,"\u001b[31m\nx":1}`, "f:2: op. [31m x: unknown member"},
	} {
		g, err := Read("f", strings.NewReader(tt.text))
		if err == nil {
			t.Errorf("%s: no error, %+v", tt.name, g)
			continue
		}
		var problem *ReadError
		if !errors.As(err, &problem) || problem.File != "f" || problem.Line < 1 {
			t.Errorf("%s: %#v", tt.name, err)
		}
		if first, _, _ := strings.Cut(err.Error(), "\n"); !strings.HasPrefix(first, tt.want) && !strings.Contains(first, ": "+tt.want) && !strings.Contains(first, tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, err, tt.want)
		}
	}
}

func TestReadSeveralProblems(t *testing.T) {
	_, err := Read("f", strings.NewReader(`{"trace":"strata.trace/1","bacth":2}`+"\n"+
		`{"tensor":"x","shape":[0]}`+"\n"+
		`{"op":"a","kind":"add","inputs":["x"],"rows":1.5,"cols":-1,"splt":"row"}`+"\n"+
		`{"run":"main"}`+"\n"+
		`{"run":"mian"}`+"\n"))
	const want = `f:1: trace.bacth: unknown member (did you mean "batch"?)
f:2: tensor.shape: dimension 0: must be from 1 to 2147483648
f:3: op.splt: unknown member (did you mean "split"?)
f:3: op.rows: 1.5: must be a whole number
f:5: run: unknown block "mian" (did you mean "main"?)`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v", err)
	}
	var problems ReadErrors
	_, err = Read("f", strings.NewReader(head+strings.Repeat("{\"kind\":\"gemm\"}\n", 100)))
	if !errors.As(err, &problems) || len(problems) != maxProblems {
		t.Errorf("%d problems", len(problems))
	}
	last := problems[len(problems)-1]
	if last.Line != maxProblems+1 {
		t.Errorf("the last is on line %d", last.Line)
	}
}

func TestReadIOError(t *testing.T) {
	broken := errors.New("the cable is out")
	_, err := Read("f", io.MultiReader(strings.NewReader(head), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || err.Error() != "f:2: cannot be read: the cable is out" {
		t.Error(err)
	}
}

// endless gives n bytes of one letter and counts what is taken.
type endless struct{ n, taken int }

func (e *endless) Read(p []byte) (int, error) {
	if e.taken >= e.n {
		return 0, io.EOF
	}
	k := min(len(p), e.n-e.taken)
	for i := range p[:k] {
		p[i] = 'x'
	}
	e.taken += k
	return k, nil
}

func TestReadLongLine(t *testing.T) {
	for _, begin := range []string{"", head, head + `{"op":"`} {
		e := &endless{n: 100 << 20}
		_, err := Read("f", io.MultiReader(strings.NewReader(begin), e))
		if err == nil || !strings.Contains(err.Error(), "longer than 1 MiB") {
			t.Errorf("%q: %v", begin, err)
		}
		if e.taken > 3<<20 {
			t.Errorf("%q: %d bytes were read", begin, e.taken)
		}
	}
	// The limit itself.
	line := `{"kind":"add","rows":1,"cols":1` + strings.Repeat(" ", maxLine)
	if _, err := Read("f", strings.NewReader(head+line[:maxLine-1]+"}\n")); err != nil {
		t.Error(err)
	}
	if _, err := Read("f", strings.NewReader(head+line+"}\n")); err == nil {
		t.Error("a line above the limit is accepted")
	}
}

// TestReadManyOperands: the most that an operator can name fits a line.
func TestReadManyOperands(t *testing.T) {
	g := small()
	b := &g.Blocks[2]
	for i := range maxOperands {
		b.Tensors = append(b.Tensors, Tensor{Name: fmt.Sprintf("%04d", i) + strings.Repeat(`"`, maxName-4), Shape: []int64{1}})
		b.Ops[0].Inputs = append(b.Ops[0].Inputs, TensorID(i))
		b.Ops[0].Outputs = append(b.Ops[0].Outputs, TensorID(i))
		b.Ops[1].Outputs = append(b.Ops[1].Outputs, TensorID(i))
	}
	for i := range b.Tensors {
		b.Tensors[i].Role = KV
	}
	back, err := Read("f", strings.NewReader(text(t, g)))
	if err == nil && back.Hash() != g.Hash() {
		t.Error("another hash")
	}
	if err != nil {
		t.Error(err)
	}
}

func TestInteger(t *testing.T) {
	for _, tt := range []struct {
		text string
		want int64
	}{
		{"0", 0}, {"-0", 0}, {"0.0", 0}, {"0e999999999999", 0}, {"7", 7}, {"-7", -7}, {"1e3", 1000}, {"1.5e1", 15}, {"12.50E+1", 125},
		{"1000e-3", 1}, {"9223372036854775807", 1<<63 - 1}, {"-9223372036854775807", -(1<<63 - 1)}, {"922337203685477580.7e1", 1<<63 - 1}, {"999999999999999999", 999999999999999999},
	} {
		if v, problem, _ := integer([]byte(tt.text)); v != tt.want || problem != "" {
			t.Errorf("%s: %d, %s", tt.text, v, problem)
		}
	}
	for _, text := range []string{"0.1", "1e-1", "1.5", "9223372036854775808", "1e19", "1e9999999999999999999", "1e-9999999999999999999", "-1e30", "true", "null", "[1]", "{}", `"1"`} {
		if v, problem, _ := integer([]byte(text)); problem == "" {
			t.Errorf("%s: %d", text, v)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(head))
	// Short ones: the tool mutates them faster. Longer files are what TestRoundTrip draws.
	f.Add([]byte(text(f, &Graph{Blocks: []Block{{Ops: []Op{{Name: "a", Kind: Add, Rows: 1, Cols: 1}}}}, Runs: []Run{{Times: 2}}})))
	f.Add([]byte(head + `{"tensor":"x","shape":[2,3],"dtype":"fp8","role":"kv"}` + "\n" + `{"op":"a","kind":"add","inputs":["x"],"outputs":["x"],"rows":1,"cols":1,"split":"sharded"}`))
	f.Add([]byte("\xEF\xBB\xBF# c\r\n" + head + `{"kind":"gemm","m":1e3,"n":2,"k":3,"parts":[1,1]}` + "\n" + `{"run":"main","times":2}`))
	f.Add([]byte(head + `{"block":"a"}` + "\n" + `{"kind":"attention","heads":2,"head_dim":1,"q_len":1}` + "\n" + `{"block":"a#2"}` + "\n" + `{"kind":"softmax","rows":1,"cols":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := Read("f", bytes.NewReader(data))
		if err != nil {
			var problems ReadErrors
			if !errors.As(err, &problems) || len(problems) == 0 || len(problems) > maxProblems {
				t.Fatalf("%#v", err)
			}
			for _, p := range problems {
				if p.File != "f" || p.Line < 1 || p.Message == "" || strings.Contains(p.Error(), "\n") {
					t.Fatalf("%#v", p)
				}
			}
			return
		}
		if err := g.Validate(); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := g.Write(&b); err != nil {
			t.Fatal(err)
		}
		back, err := Read("again", bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatalf("%v in\n%s", err, b.Bytes())
		}
		if len(back.Notes) > 0 || back.Hash() != g.Hash() {
			t.Fatalf("%q; written\n%s", back.Notes, b.Bytes())
		}
		if err := g.Show(io.Discard); err != nil {
			t.Fatal(err)
		}
	})
}
