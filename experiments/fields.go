package experiments

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/traces/llm"
)

// A Field is a leaf of the options of a point or of a model, by the name that JSON gives it, with points between the parts of
// parts: "batch", "lora.rank", "moe.experts". Flags have the same names with "-" for "_".
type Field struct {
	Name string
	// Like is a value of its type: int64, float64, bool, string, []string or []int64.
	Like  any
	index []int
}

// OfTraining reports whether a field of options counts with phases train and finetune alone.
func (f *Field) OfTraining() bool {
	o := reflect.TypeFor[Options]()
	return len(f.index) > 1 && o.Field(f.index[0]).Type == reflect.TypeFor[*TrainOptions]()
}

// fieldsOf lists the leaves of a struct. What leave names is not one.
func fieldsOf(t reflect.Type, leave ...string) map[string]*Field {
	all := map[string]*Field{}
	var walk func(t reflect.Type, prefix string, index []int)
	walk = func(t reflect.Type, prefix string, index []int) {
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() || name == "" || name == "-" || slices.Contains(leave, prefix+name) {
				continue
			}
			at, typ := append(slices.Clone(index), i), f.Type
			if typ.Kind() == reflect.Pointer {
				typ = typ.Elem()
			}
			switch typ.Kind() {
			case reflect.Struct:
				below := prefix + name + "."
				if typ == reflect.TypeFor[TrainOptions]() {
					below = prefix // as flags, which have no parts
				}
				walk(typ, below, at)
			case reflect.Int64, reflect.Float64, reflect.Bool, reflect.String, reflect.Slice:
				if _, twice := all[prefix+name]; !twice {
					all[prefix+name] = &Field{prefix + name, reflect.Zero(plain(typ)).Interface(), at}
				}
			}
		}
	}
	walk(t, "", nil)
	return all
}

// plain is the type without a name of its own.
func plain(t reflect.Type) reflect.Type {
	switch t.Kind() {
	case reflect.Int64:
		return reflect.TypeFor[int64]()
	case reflect.Float64:
		return reflect.TypeFor[float64]()
	case reflect.Bool:
		return reflect.TypeFor[bool]()
	case reflect.String:
		return reflect.TypeFor[string]()
	}
	return t
}

var (
	optionFields = fieldsOf(reflect.TypeFor[Options](), "set", "mapping", "cost")
	modelFields  = fieldsOf(reflect.TypeFor[llm.Model](), "name", "source", "notes")
)

// huggingFace are names of config.json for leaves of a model, those included that both have.
var huggingFace = map[string]string{"hidden_size": "hidden", "num_hidden_layers": "layers", "intermediate_size": "ffn", "num_attention_heads": "heads",
	"num_key_value_heads": "kv_heads", "head_dim": "head_dim", "vocab_size": "vocab", "max_position_embeddings": "max_seq", "torch_dtype": "torch_dtype",
	"sliding_window": "sliding_window", "tie_word_embeddings": "tied_embeddings", "attention_bias": "linear_bias", "qkv_bias": "qkv_bias", "mlp_bias": "ffn_bias",
	"use_qk_norm": "qk_norm", "use_parallel_residual": "parallel_block", "rotary_dim": "rotary_dims", "type_vocab_size": "token_types",
	"n_embd": "hidden", "n_layer": "layers", "n_inner": "ffn", "n_head": "heads", "n_positions": "max_seq",
	"num_local_experts": "moe.experts", "num_experts": "moe.experts", "n_routed_experts": "moe.experts", "num_experts_per_tok": "moe.top_k",
	"moe_intermediate_size": "moe.ffn", "shared_expert_intermediate_size": "moe.shared_ffn", "first_k_dense_replace": "moe.first_dense",
	"q_lora_rank": "mla.q_rank", "kv_lora_rank": "mla.kv_rank", "qk_nope_head_dim": "mla.nope", "qk_rope_head_dim": "mla.rope", "v_head_dim": "mla.v",
	"patch_size": "patches.size", "num_channels": "patches.channels", "num_labels": "patches.classes"}

// OptionField finds a leaf of the options of a point, or nil.
func OptionField(name string) *Field { return optionFields[strings.ReplaceAll(name, "-", "_")] }

// OptionFields lists their names.
func OptionFields() []string { return slices.Sorted(maps.Keys(optionFields)) }

// ModelField finds a leaf of a model, by its own name or that of a Hugging Face config.json, or nil.
func ModelField(name string) *Field {
	if own, ok := huggingFace[name]; ok {
		name = own
	}
	return modelFields[name]
}

// HuggingFaceFields lists the names of a config.json that ModelField knows.
func HuggingFaceFields() []string { return slices.Sorted(maps.Keys(huggingFace)) }

// ModelFields lists their names.
func ModelFields() []string { return slices.Sorted(maps.Keys(modelFields)) }

// Set reads a text into the field of what v points to, the options or the model that the field is of. Parts on the way that are not
// there come into being.
func (f *Field) Set(v any, text string) error {
	at := reflect.ValueOf(v).Elem()
	for _, i := range f.index {
		if at.Kind() == reflect.Pointer {
			fresh := reflect.New(at.Type().Elem()) // what is shared with another point is not changed
			if !at.IsNil() {
				fresh.Elem().Set(at.Elem())
			}
			at.Set(fresh)
			at = fresh.Elem()
		}
		at = at.Field(i)
	}
	if at.Kind() == reflect.Pointer {
		at.Set(reflect.New(at.Type().Elem()))
		at = at.Elem()
	}
	text = strings.TrimSpace(text)
	bad := func(what string) error {
		return &Invalid{Field: strings.ReplaceAll(f.Name, "_", "-"), Message: fmt.Sprintf("%.40q is not %s", text, what)}
	}
	switch at.Kind() {
	case reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return bad("a whole number")
		}
		at.SetInt(n)
	case reflect.Float64:
		n, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSuffix(text, "W"), " "), 64)
		if err != nil || n != n || n-n != 0 {
			return bad("a number")
		}
		at.SetFloat(n)
	case reflect.Bool:
		n, err := strconv.ParseBool(text)
		if err != nil {
			return bad("true or false")
		}
		at.SetBool(n)
	case reflect.String:
		at.SetString(text)
	case reflect.Slice:
		list := reflect.MakeSlice(at.Type(), 0, 1)
		for word := range strings.SplitSeq(text, ",") {
			word = strings.TrimSpace(word)
			e := reflect.New(at.Type().Elem()).Elem()
			switch e.Kind() {
			case reflect.String:
				e.SetString(word)
			case reflect.Int64:
				n, err := strconv.ParseInt(word, 10, 64)
				if err != nil {
					return bad("a list of whole numbers")
				}
				e.SetInt(n)
			}
			list = reflect.Append(list, e)
		}
		at.Set(list)
	}
	return nil
}

// Get returns the value of the field in what v points to: its zero value where a part on the way is not there.
func (f *Field) Get(v any) any {
	at := reflect.ValueOf(v).Elem()
	for _, i := range f.index {
		if at.Kind() == reflect.Pointer {
			if at.IsNil() {
				return f.Like
			}
			at = at.Elem()
		}
		at = at.Field(i)
	}
	if at.Kind() == reflect.Pointer {
		if at.IsNil() {
			return f.Like
		}
		at = at.Elem()
	}
	return at.Convert(plain(at.Type())).Interface()
}

// Normalize puts options into the one form that the same request has: degrees and lengths that say nothing in its phase are left
// out, as if they had not been given.
func (o *Options) Normalize() {
	if o.PP == 1 {
		o.PP = 0
	}
	if !o.Trains() {
		o.Training = nil
		if o.Phase != "" && o.Phase != "generate" && o.Phase != "serve" {
			o.Generate = 0
		}
		if o.Phase != "serve" {
			o.Arrivals = ""
		}
		return
	}
	t := TrainOptions{}
	if o.Training != nil {
		t = *o.Training
	}
	t.EP, o.EP = max(t.EP, o.EP), 0
	o.Batch, o.Prompt, o.Generate, o.Arrivals, o.Training = 0, 0, 0, "", &t
}
