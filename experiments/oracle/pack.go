package oracle

import (
	"crypto/sha256"
	"strings"
)

// packed is an answer as it is remembered. Answers of one kind are alike but for their numbers, so the rest is there once.
type packed struct {
	shape  *shape
	tokens string    // what stands in the gaps of the shape, each followed by gap
	values []float64 // of the figures
	err    *Error
	kept   <-chan struct{} // closed when it is in the file; nil if it was there or does not go there
}

// keeping is what the answer waits for until it is given again.
func (p *packed) keeping() keeping {
	select {
	case <-p.kept:
		return nil
	default:
	}
	if p.kept == nil {
		return nil
	}
	return keeping{p.kept}
}

// shape is what answers have in common.
type shape struct {
	text    string // members with gaps
	figures []string
}

// gap stands for a number, and ends one; JSON has no such byte.
const gap = 0

// rememberedShapes is how many shapes are kept for answers to come.
const rememberedShapes = 1024

// numeral has, for each byte, 2 for a digit and 1 for what may stand beside one in a number or a hexadecimal one.
var numeral = func() (t [256]byte) {
	for c := '0'; c <= '9'; c++ {
		t[c] = 2
	}
	for _, c := range "abcdefABCDEF.+-" {
		t[c] = 1
	}
	return t
}()

// pack returns an answer as it is remembered, and about the memory that takes with its entry.
func (o *Oracle) pack(a *answer) (packed, int64) {
	const entry = 320 // key, map, list
	text := make([]byte, 0, len(a.members)+256)
	var tokens strings.Builder
	tokens.Grow(len(a.members) / 2)
	for i := 0; i < len(a.members); {
		from, digit := i, false
		for ; i < len(a.members) && numeral[a.members[i]] > 0; i++ {
			digit = digit || numeral[a.members[i]] == 2
		}
		switch {
		case digit:
			text = append(text, gap)
			tokens.Write(a.members[from:i])
			tokens.WriteByte(gap)
		case i > from:
			text = append(text, a.members[from:i]...)
		default:
			text = append(text, a.members[i])
			i++
		}
	}
	p := packed{err: a.err, tokens: strings.Clone(tokens.String()), values: make([]float64, len(a.figures))}
	n := len(text)
	for i := range a.figures {
		p.values[i] = a.figures[i].value
		text = append(append(text, gap), a.figures[i].name...)
	}
	size := entry + int64(len(p.tokens)+8*len(p.values))
	at := key(sha256.Sum256(text))
	s, known := o.shapes.get(at)
	if !known {
		s = &shape{text: string(text[:n])}
		for i := range a.figures {
			s.figures = append(s.figures, a.figures[i].name)
		}
		s = o.shapes.put(at, s, 1)
		size += int64(len(text))
	}
	p.shape = s
	return p, size
}

// answer returns the answer that was packed.
func (p *packed) answer() *answer {
	a := &answer{members: make([]byte, 0, len(p.shape.text)+len(p.tokens)), err: p.err}
	text, tokens := p.shape.text, p.tokens
	for {
		i := strings.IndexByte(text, gap)
		if i < 0 {
			break
		}
		k := strings.IndexByte(tokens, gap)
		a.members = append(append(a.members, text[:i]...), tokens[:k]...)
		text, tokens = text[i+1:], tokens[k+1:]
	}
	a.members = append(a.members, text...)
	if len(p.values) > 0 {
		a.figures = make([]figure, len(p.values))
		for i, v := range p.values {
			a.figures[i] = figure{p.shape.figures[i], v}
		}
	}
	return a
}
