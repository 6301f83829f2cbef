package units

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ParseError says why a text is not a quantity.
type ParseError struct {
	Text    string // what was read
	Message string // what is wrong and what was expected, with an example
	Hint    string // what to write instead; empty if nothing comes near
}

// Error returns the text in quotes, the message and the hint.
func (e *ParseError) Error() string {
	s := e.Text
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "…"
	}
	s = strconv.Quote(s) + ": " + e.Message
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// maxText bounds the text of a quantity in bytes; an exact int64 or float64 needs far less.
const maxText = 400

func parseInt[T ~int64](d *dimension, text []byte, into *T) error {
	n, u, err := d.split(string(text))
	if err != nil {
		return err
	}
	v, err := n.int64(d, u)
	if err != nil {
		return err
	}
	*into = T(v)
	return nil
}

func parseFloat[T ~float64](d *dimension, text []byte, into *T) error {
	n, u, err := d.split(string(text))
	if err != nil {
		return err
	}
	v, err := n.float64(d, u)
	if err != nil {
		return err
	}
	*into = T(v)
	return nil
}

// number is a decimal: digits·10^exp, negated if neg.
type number struct {
	text   string // the whole quantity, for messages
	neg    bool
	digits string // without the point, no leading zeros except "0"
	exp    int
}

// split takes a text apart into its number and its unit.
func (d *dimension) split(text string) (number, *unit, error) {
	fail := func(message, hint string) (number, *unit, error) {
		return number{}, nil, &ParseError{Text: text, Message: message, Hint: hint}
	}
	if len(text) > maxText {
		return fail(fmt.Sprintf("%d bytes are too long for %s, e.g. %q", len(text), d.what, d.example), "")
	}
	s := strings.TrimSpace(text)
	if s == "" {
		return fail(fmt.Sprintf("empty, expected %s, e.g. %q", d.what, d.example), "")
	}
	n := number{text: text}
	dollar := false
	if strings.HasPrefix(s, "$") {
		dollar, s = true, strings.TrimSpace(s[1:])
	}
	if strings.HasPrefix(s, "-") {
		n.neg, s = true, s[1:]
	}
	whole := leadingDigits(s)
	rest := s[len(whole):]
	expected := fmt.Sprintf("expected a number and a unit for %s, e.g. %q", d.what, d.example)
	switch {
	case whole == "" && strings.HasPrefix(rest, "."):
		return fail(expected, "write 0 before the decimal point")
	case whole == "" && strings.HasPrefix(rest, "+"):
		return fail(expected, "leave out the +")
	case whole == "":
		return fail(expected, "")
	case len(whole) > 1 && whole[0] == '0':
		return fail(expected, "leave out the leading zeros")
	case rest != "" && (rest[0] == ',' || rest[0] == '_' || rest[0] == '\''):
		return fail(expected, "write digits without separators")
	}
	digits := whole
	if strings.HasPrefix(rest, ".") {
		frac := leadingDigits(rest[1:])
		if frac == "" {
			return fail(expected, "write digits after the decimal point")
		}
		rest = rest[1+len(frac):]
		n.exp = -len(frac)
		digits += frac
	}
	if len(rest) > 1 && (rest[0] == 'e' || rest[0] == 'E') {
		e := rest[1:]
		sign := 1
		if e[0] == '-' || e[0] == '+' {
			if e[0] == '-' {
				sign = -1
			}
			e = e[1:]
		}
		// "2 EB" has a space, "2e3 B" and "2EB" are told apart by the digit.
		if ed := leadingDigits(e); ed != "" {
			if len(ed) > 3 {
				return fail("the exponent is out of range; "+expected, "")
			}
			x, _ := strconv.Atoi(ed)
			n.exp += sign * x
			rest = e[len(ed):]
		}
	}
	n.digits = strings.TrimLeft(digits, "0")
	if n.digits == "" {
		n.digits, n.exp = "0", 0
	}
	name := strings.TrimSpace(rest)
	if dollar {
		name = "$" + name
	}
	if name == "" {
		return fail(fmt.Sprintf("%s needs a unit, e.g. %q", d.what, d.example), "")
	}
	u := d.byName[name]
	if u == nil {
		return fail(d.unknown(name))
	}
	return n, u, nil
}

func leadingDigits(s string) string {
	i := 0
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	return s[:i]
}

// unknown explains a unit that the dimension does not have.
func (d *dimension) unknown(name string) (message, hint string) {
	short := name
	if utf8.RuneCountInString(short) > 20 {
		short = string([]rune(strings.ToValidUTF8(short, ""))[:19]) + "…"
	}
	message = fmt.Sprintf("unknown unit %q for %s, e.g. %q", short, d.what, d.example)
	if len(name) > 40 {
		return message, ""
	}
	if hint := d.bits(name); hint != "" {
		return message, hint
	}
	if strings.HasPrefix(name, "KB") {
		w := name[2:]
		if w == "ps" {
			w = "/s"
		}
		if d.byName["kB"+w] != nil {
			return message, fmt.Sprintf("write %q for 1000 bytes or %q for 1024", "kB"+w, "KiB"+w)
		}
	}
	if near := d.near(name); len(near) > 0 {
		return message, "write " + strings.Join(near, " or ")
	}
	if w, ok := strings.CutSuffix(name, "/MAC"); ok && d.byName[w+"/op"] != nil {
		return message, fmt.Sprintf("a multiply-add is two operations: halve the number and write %q", w+"/op")
	}
	if name[0] >= '0' && name[0] <= '9' {
		return message, "write digits without separators"
	}
	for _, o := range all {
		if o != d && o.byName[name] != nil {
			return message, fmt.Sprintf("%q is for %s", name, o.what)
		}
	}
	return message, ""
}

// near lists the units that a misspelt name may mean; those that are only read count where no other
// does.
func (d *dimension) near(name string) []string {
	want, plural := loose(name), looseWords.Replace(strings.ToLower(name))
	var written, read []string
	for i := range d.units {
		u := &d.units[i]
		switch l := loose(u.name); {
		case l != want && l != plural:
		case u.written:
			written = append(written, strconv.Quote(u.name))
		default:
			read = append(read, strconv.Quote(u.name))
		}
	}
	if len(written) > 0 {
		return written
	}
	return read
}

// bitUnit matches units of bits: kb, Gbit, Mbps, Tb/s, and spellings in lower case that may mean
// bytes as well: mb, gbps.
var bitUnit = regexp.MustCompile(`^([kKmMgGtTpP]?)(i?)(b|[bB]its?)(ps|/s|/sec)?$`)

// bits returns what to write instead of a unit of bits, or "" if name is none.
func (d *dimension) bits(name string) string {
	if w, ok := strings.CutSuffix(name, "/b"); ok && d.byName[w+"/bit"] != nil {
		return fmt.Sprintf("write %q for a bit or %q for a byte", w+"/bit", w+"/B")
	}
	m := bitUnit.FindStringSubmatch(name)
	if m == nil || d != bytesPerSecondText && (d != bytesText || m[4] != "") {
		return ""
	}
	prefix := strings.ToUpper(m[1])
	if prefix == "K" && m[2] == "" {
		prefix = "k"
	}
	w := prefix + m[2] + "B"
	if d == bytesPerSecondText {
		w += "/s"
	}
	if m[3] == "b" && m[1] != prefix {
		return fmt.Sprintf("write %q, or divide by 8 first if these are bits", w)
	}
	return fmt.Sprintf("that is bits; divide by 8 and write %q", w)
}

// looseWords maps spellings that people use to parts of our units, longest first.
var looseWords = strings.NewReplacer("seconds", "s", "second", "s", "secs", "s", "sec", "s", "bytes", "b", "byte", "b",
	"watts", "w", "watt", "w", "joules", "j", "joule", "j", "hertz", "hz", "hours", "h", "hour", "h", "hrs", "h", "hr", "h",
	"minutes", "min", "minute", "min", "mins", "min", "dollars", "usd", "dollar", "usd", "µ", "u", "μ", "u", "²", "2", "^2", "2",
	"flops", "flop", "ops", "op", "clk", "cycle", "cycles", "cycle", " ", "")

// loose maps a unit to a form in which usual misspellings are equal: case, plurals, and "ps" for
// "/s" (GBps, TFLOPS).
func loose(name string) string {
	s := strings.ToLower(name)
	switch {
	case strings.HasSuffix(s, "bps"):
		s = strings.TrimSuffix(s, "ps") + "/s"
	case strings.HasSuffix(s, "ops"):
		s = strings.TrimSuffix(s, "s") + "/s"
	}
	return looseWords.Replace(s)
}

// big returns the exact number of base units.
func (n *number) big(u *unit) *big.Rat {
	m, _ := new(big.Int).SetString(n.digits, 10)
	den := big.NewInt(u.den)
	m.Mul(m, big.NewInt(u.num))
	ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(n.exp, -n.exp))), nil)
	if n.exp >= 0 {
		m.Mul(m, ten)
	} else {
		den.Mul(den, ten)
	}
	if n.neg {
		m.Neg(m)
	}
	return new(big.Rat).SetFrac(m, den)
}

func (n *number) int64(d *dimension, u *unit) (int64, error) {
	if v, ok := n.fast(u); ok {
		return v, nil
	}
	r := n.big(u)
	if !r.IsInt() {
		return 0, &ParseError{Text: n.text, Message: fmt.Sprintf("not a whole number of %s, the smallest unit of %s", d.units[0].name, d.what)}
	}
	if !r.Num().IsInt64() && n.neg {
		return 0, &ParseError{Text: n.text, Message: fmt.Sprintf("too small for %s, at least %d %s", d.what, int64(math.MinInt64), d.units[0].name)}
	}
	if !r.Num().IsInt64() {
		return 0, &ParseError{Text: n.text, Message: fmt.Sprintf("too large for %s, at most %d %s", d.what, int64(math.MaxInt64), d.units[0].name)}
	}
	return r.Num().Int64(), nil
}

// fast converts without big numbers where 128 bits suffice and the result is whole.
func (n *number) fast(u *unit) (int64, bool) {
	if len(n.digits) > 18 || n.exp > 0 || n.exp < -18 || u.den != 1 {
		return 0, false
	}
	m, err := strconv.ParseInt(n.digits, 10, 64)
	if err != nil {
		return 0, false
	}
	ten := uint64(1)
	for e := n.exp; e < 0; e++ {
		ten *= 10
	}
	hi, lo := bits.Mul64(uint64(m), uint64(u.num))
	if hi >= ten {
		return 0, false
	}
	q, r := bits.Div64(hi, lo, ten)
	if r != 0 || q > math.MaxInt64 {
		return 0, false
	}
	if n.neg {
		return -int64(q), true
	}
	return int64(q), true
}

func (n *number) float64(d *dimension, u *unit) (float64, error) {
	var v float64
	if u.decimal {
		// The decimal of the base unit: strconv rounds it correctly.
		v, _ = strconv.ParseFloat(n.digits+"e"+strconv.Itoa(n.exp+u.power), 64)
		if n.neg && v != 0 {
			v = -v
		}
	} else {
		v, _ = n.big(u).Float64()
	}
	if math.IsInf(v, 0) {
		return 0, &ParseError{Text: n.text, Message: "too large for " + d.what}
	}
	if v == 0 && n.digits != "0" {
		return 0, &ParseError{Text: n.text, Message: "too small for " + d.what}
	}
	return v, nil
}

func formatInt(d *dimension, v int64) string {
	var buf [24]byte
	b := strconv.AppendUint(buf[:0], magnitude(v), 10)
	return d.format(v < 0, b, 0, v)
}

func magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}

func formatFloat(d *dimension, v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'g', -1, 64) + " " + d.units[0].name
	}
	var buf [32]byte
	b := strconv.AppendFloat(buf[:0], math.Abs(v), 'e', -1, 64) // d.ddde±xx
	digits, exp := buf[:0], 0
	for i, c := range b {
		if c == 'e' {
			exp, _ = strconv.Atoi(string(b[i+1:]))
			break
		}
		if c != '.' {
			digits = append(digits, c)
		}
	}
	return d.format(v < 0, digits, exp-(len(digits)-1), 0)
}

func marshal(d *dimension, v float64) ([]byte, error) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil, &ParseError{Text: formatFloat(d, v), Message: "not a finite number"}
	}
	return []byte(formatFloat(d, v)), nil
}

// maxPlain is the longest number that is written without an exponent.
const maxPlain = 24

// format writes digits·10^exp base units in the unit that gives the shortest text; among equals
// one whose number is at least 1, then the largest unit. For integer quantities, whole is the
// value, so that units that are no power of ten can be tried.
func (d *dimension) format(neg bool, digits []byte, exp int, whole int64) string {
	for len(digits) > 1 && digits[len(digits)-1] == '0' {
		digits, exp = digits[:len(digits)-1], exp+1
	}
	if digits[0] == '0' {
		return "0 " + d.units[0].name
	}
	var (
		best    *unit
		length  int
		atLeast bool // the number of the best text is at least 1
	)
	for i := range d.units {
		u := &d.units[i]
		if !u.written {
			continue
		}
		n, one := 0, true
		switch {
		case u.decimal:
			n, one = plainLength(len(digits), exp-u.power)
		case whole != 0 && whole%u.num == 0:
			for q := magnitude(whole / u.num); q > 0; q /= 10 {
				n++
			}
		default:
			continue
		}
		if n > maxPlain {
			continue
		}
		n += len(u.name)
		better := best == nil || n < length
		if !better && n == length {
			better = one && !atLeast || one == atLeast && larger(u, best)
		}
		if better {
			best, length, atLeast = u, n, one
		}
	}
	out := make([]byte, 0, 40)
	if neg {
		out = append(out, '-')
	}
	switch {
	case best == nil:
		best = &d.units[0]
		out = append(out, digits[0])
		if len(digits) > 1 {
			out = append(append(out, '.'), digits[1:]...)
		}
		out = strconv.AppendInt(append(out, 'e'), int64(exp+len(digits)-1), 10)
	case best.decimal:
		out = appendPlain(out, digits, exp-best.power)
	default:
		out = strconv.AppendUint(out, magnitude(whole/best.num), 10)
	}
	name := best.name
	if best == &cyclesText.units[0] && len(digits) == 1 && digits[0] == '1' && exp == 0 {
		name = "cycle"
	}
	return string(append(append(out, ' '), name...))
}

// larger reports whether a is a larger unit than b.
func larger(a, b *unit) bool {
	return float64(a.num)*float64(b.den) > float64(b.num)*float64(a.den)
}

// plainLength returns the length of n digits times 10^exp without an exponent, and whether the
// number is at least 1.
func plainLength(n, exp int) (length int, one bool) {
	switch {
	case exp >= 0:
		return n + exp, true
	case n+exp > 0:
		return n + 1, true
	default:
		return 2 - exp, false
	}
}

func appendPlain(out, digits []byte, exp int) []byte {
	point := len(digits) + exp // digits before the point
	if point <= 0 {
		out = append(out, '0', '.')
		for ; point < 0; point++ {
			out = append(out, '0')
		}
		return append(out, digits...)
	}
	for i, c := range digits {
		if i == point {
			out = append(out, '.')
		}
		out = append(out, c)
	}
	for i := len(digits); i < point; i++ {
		out = append(out, '0')
	}
	return out
}
