package eval

// Distribution is what a workload of many requests came to. The other figures of its answer are those of one request: the
// one whose latency is the median.
type Distribution struct {
	Workload string `json:"workload"` // name of its file
	Requests int64  `json:"requests"`
	Distinct int64  `json:"distinct"` // lengths that were timed, each once
	Seed     int64  `json:"seed"`     // of the draws; 0 if nothing was drawn
	// Quantiles names the definition of p50, p95 and p99.
	Quantiles string `json:"quantiles"`
	// Round says that lengths were rounded up to a multiple of it; RoundError is the share by which the mean latency is
	// larger than with lengths rounded down, an upper bound on what rounding adds.
	Round      int64   `json:"round,omitempty"`
	RoundError float64 `json:"round_error,omitempty"`

	PromptTokens   Spread `json:"prompt_tokens"`
	GenerateTokens Spread `json:"generate_tokens"`
	// TTFT and TPOT are nil in phases that have none; requests of a single token have no TPOT and do not count there.
	TTFT             *Spread `json:"ttft_seconds,omitempty"`
	TPOT             *Spread `json:"tpot_seconds,omitempty"`
	Latency          Spread  `json:"latency_seconds"`
	JoulesPerRequest Spread  `json:"joules_per_request"`
	TokensPerSecond  Spread  `json:"tokens_per_second"` // of the batch that the request is in
	// TotalTokensPerSecond is all tokens by all time, batches of alike requests one after the other.
	TotalTokensPerSecond float64 `json:"total_tokens_per_second"`
}

// NearestRank names the quantiles of a Distribution: the smallest value below or at which there is at least that share of
// the requests, type 1 of Hyndman and Fan (1996).
const NearestRank = "nearest-rank"

// Spread is how a figure is distributed over requests.
type Spread struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
}
