package traces

import (
	"fmt"
	"math/big"
	"strings"
)

// Speculation is speculative decoding (Leviathan et al., ICML 2023): in each round a draft model decodes
// Tokens tokens one by one, and the model verifies them and decodes one more in a single pass.
type Speculation struct {
	Draft  string // name of the draft model
	Tokens int64  // drafted in each round
	// Acceptance is the chance that the model takes a drafted token, from 0 to below 1, as a decimal: exact,
	// because lengths follow from it.
	Acceptance string
}

// MaxDraftTokens bounds the tokens drafted in a round.
const MaxDraftTokens = 64

// ParseAcceptance reads the chance that a drafted token is taken.
func ParseAcceptance(s string) (*big.Rat, error) {
	a, ok := new(big.Rat), len(s) <= 20 && !strings.ContainsAny(s, "/eEpPxX_")
	if ok {
		_, ok = a.SetString(s)
	}
	if !ok || a.Sign() < 0 || a.Cmp(big.NewRat(1, 1)) >= 0 {
		return nil, fmt.Errorf("%q: must be a number from 0 to below 1, such as 0.8", shorten(s))
	}
	return a, nil
}

// PerRound returns the expected tokens of a round, 1 + a + a² + … + a^Tokens = (1 − a^(Tokens+1))/(1 − a) with the
// acceptance a: equation 1 of Leviathan et al. It must be valid.
func (s *Speculation) PerRound() *big.Rat {
	a, err := ParseAcceptance(s.Acceptance)
	if err != nil {
		a = new(big.Rat)
	}
	sum, power := big.NewRat(1, 1), big.NewRat(1, 1)
	for range s.Tokens {
		power = new(big.Rat).Mul(power, a)
		sum.Add(sum, power)
	}
	return sum
}

// Rounds returns in how many rounds so many tokens are expected: rounded up.
func (s *Speculation) Rounds(tokens int64) int64 {
	per := s.PerRound()
	n := new(big.Int).Mul(big.NewInt(tokens), per.Denom())
	n.Add(n, new(big.Int).Sub(per.Num(), big.NewInt(1)))
	return n.Quo(n, per.Num()).Int64()
}

// After returns the tokens that are expected after so many rounds, rounded down.
func (s *Speculation) After(rounds int64) int64 {
	per := s.PerRound()
	n := new(big.Int).Mul(big.NewInt(rounds), per.Num())
	return n.Quo(n, per.Denom()).Int64()
}

// DraftPrefix begins the names of the draft model's operators and tensors.
const DraftPrefix = "draft."

// invalid says what is wrong with it.
func (s *Speculation) invalid(phase string) *Invalid {
	bad := func(field, message, hint string) *Invalid {
		return &Invalid{Where: "graph", Message: message, Hint: hint, Field: field}
	}
	if msg := nameProblem(s.Draft); msg != "" {
		return bad("draft", msg, "")
	}
	if s.Tokens < 1 || s.Tokens > MaxDraftTokens {
		return bad("draft_tokens", fmt.Sprintf("%d: must be from 1 to %d", s.Tokens, MaxDraftTokens), "")
	}
	if _, err := ParseAcceptance(s.Acceptance); err != nil {
		return bad("acceptance", err.Error(), "")
	}
	if phase != "decode" && phase != "generate" {
		return bad("draft", "only phase decode or generate decodes", "")
	}
	return nil
}
