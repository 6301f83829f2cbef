package oracle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/traces/llm"
)

// idPrefix begins the names of machines and models that were added: the SHA-256 of their text in hexadecimal digits follows. No
// preset has such a name.
const idPrefix = "sha256:"

// addedRoom bounds what added machines, and added models, may take in memory, in bytes.
const addedRoom = 64 << 20

// added holds machines and models that have no name, by the hash of the text they came in. The ones not used for longest
// are forgotten first.
type added struct {
	machines *lru[string, *machine]
	models   *lru[string, *llm.Model]
}

func newAdded() added {
	return added{newLRU[string, *machine](addedRoom), newLRU[string, *llm.Model](addedRoom)}
}

// addedSize is about what a machine or a model takes in memory, in bytes, whose text is so long: the largest preset of 20 kB takes 60.
func addedSize(text []byte) int64 { return 1<<14 + 4*int64(len(text)) }

// AddMachine reads a machine file, YAML or JSON, and returns the id by which requests may name the machine from now on: "sha256:"
// and the SHA-256 of the text. Its base, if it has one, is a preset. As many are kept as have room in 64 MiB, some thousand; an id that
// was forgotten is unknown until the machine is added again. Nobody may change the machine. The error is of type *spec.Error.
func (o *Oracle) AddMachine(text []byte) (id string, m *arch.Machine, err error) {
	id = idOf(text)
	if known, ok := o.resolve.added.machines.get(id); ok {
		return id, known.Machine, nil
	}
	if m, err = arch.Load("arch", text, presets.Machine); err != nil {
		return "", nil, err
	}
	return id, o.resolve.added.machines.put(id, &machine{m, m.Hash()}, addedSize(text)).Machine, nil
}

// AddModel does for a Hugging Face config.json what AddMachine does for machines. The error is of type llm.Errors.
func (o *Oracle) AddModel(text []byte) (id string, m *llm.Model, err error) {
	id = idOf(text)
	if known, ok := o.resolve.added.models.get(id); ok {
		return id, known, nil
	}
	read, err := llm.FromHF("inline", text) // as a model in place is called
	if err != nil {
		return "", nil, err
	}
	return id, o.resolve.added.models.put(id, &read, addedSize(text)), nil
}

// AddMachineContext is AddMachine for as long as a context lasts, whose error it returns otherwise.
func (o *Oracle) AddMachineContext(ctx context.Context, text []byte) (id string, m *arch.Machine, err error) {
	if err = ctx.Err(); err == nil {
		if id, m, err = o.AddMachine(text); ctx.Err() != nil { // a text is read in half a second at most, so it is not broken off
			err = ctx.Err()
		}
	}
	return id, m, err
}

// AddModelContext is AddModel in the same way.
func (o *Oracle) AddModelContext(ctx context.Context, text []byte) (id string, m *llm.Model, err error) {
	if err = ctx.Err(); err == nil {
		if id, m, err = o.AddModel(text); ctx.Err() != nil {
			err = ctx.Err()
		}
	}
	return id, m, err
}

// AddSpace reads a search space, a sweep file in YAML or JSON, and describes it: requests may name it by its hash from now on, as long as it is one of
// some thirty that were asked about last. The error is of type *spec.Error.
func (o *Oracle) AddSpace(text []byte) (SpaceDescription, error) {
	return o.AddSpaceContext(context.Background(), text)
}

// AddSpaceContext is AddSpace that ends with a context: the error is then the context's.
func (o *Oracle) AddSpaceContext(ctx context.Context, text []byte) (SpaceDescription, error) {
	s, bad, err := o.resolve.space(ctx, &value{kind: object, raw: text})
	switch {
	case err != nil:
		return SpaceDescription{}, err
	case bad == nil:
		return Describe(s.Space), nil
	}
	if _, err = readSpaceWithin(ctx, "space", text, spaceFinder{o.resolve, ""}, ""); err == nil { // for all that is wrong
		err = bad
	}
	return SpaceDescription{}, err
}

// Space finds a search space as a request would that names it: one that comes with strata, or one that was added.
func (o *Oracle) Space(name string) (SpaceDescription, *Error) {
	s, bad, _ := o.resolve.space(context.Background(), textOf(name))
	if bad != nil {
		return SpaceDescription{}, bad
	}
	return Describe(s.Space), nil
}

func idOf(text []byte) string {
	sum := sha256.Sum256(text)
	return idPrefix + hex.EncodeToString(sum[:])
}

// Machine finds a machine as a request would that names it: a preset, or one that was added. Nobody may change it.
func (o *Oracle) Machine(name string) (*arch.Machine, *Error) {
	v := textOf(name)
	m, err := o.resolve.machine(v, string(appendText(nil, v.chars())))
	if err != nil {
		return nil, err
	}
	return m.Machine, nil
}

// Model does for models what Machine does for machines.
func (o *Oracle) Model(name string) (*llm.Model, *Error) {
	v := textOf(name)
	return o.resolve.model(v, string(appendText(nil, v.chars())))
}

// isID tells whether a name is that of something that was added. Where names may be those of files, nothing is.
func (r *resolver) isID(name []byte) bool { return !r.files && bytes.HasPrefix(name, []byte(idPrefix)) }

func (r *resolver) addedMachine(id, at string) (*machine, *Error) {
	if m, ok := r.added.machines.get(id); ok {
		return m, nil
	}
	return nil, invalid("unknown-arch", at, "post the machine again", "no machine with the id %q is known, or not any more", shorten(id))
}

func (r *resolver) addedModel(id, at string) (*llm.Model, *Error) {
	if m, ok := r.added.models.get(id); ok {
		return m, nil
	}
	return nil, invalid("unknown-model", at, "post the model again", "no model with the id %q is known, or not any more", shorten(id))
}

// forgotten refuses a request that names what was not added or is forgotten, also if its answer is still remembered: an id
// means the same for all that is asked about it.
func (r *resolver) forgotten(q *request) (err *Error) {
	if v := q.archAt; v != nil {
		at := "/arch"
		if v.kind == object {
			f := open(v, at, &err)
			if v = f.get("base"); err != nil || v == nil {
				return nil // whoever resolves it says so
			}
			at = "/arch/base"
		}
		if v.kind == text && r.isID(v.chars()) {
			_, err = r.addedMachine(string(v.chars()), at)
		}
	}
	for _, named := range []struct {
		at string
		v  *value
	}{{"/model", q.modelAt}, {"/draft", q.draftAt}} {
		if v := named.v; err == nil && v != nil && v.kind == text && r.isID(v.chars()) {
			_, err = r.addedModel(string(v.chars()), named.at)
		}
	}
	return err
}

// unknown tells whether the error is about a name that may be known at another time.
func (e *Error) unknown() bool { return e.Code == "unknown-arch" || e.Code == "unknown-model" }

// drop forgets a key.
func (c *lru[K, V]) drop(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.items[key]; ok {
		c.taken -= c.order.Remove(e).(*lruEntry[K, V]).size
		delete(c.items, key)
	}
}
