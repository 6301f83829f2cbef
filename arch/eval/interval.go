package eval

// Interval says between which figures a measurement would lie, from how far answers of its kind were off where they were measured; see the
// package uncertainty of the experiments.
type Interval struct {
	Level       float64 `json:"level"` // share of measurements that lie within
	Seconds     Bounds  `json:"seconds"`
	TTFTSeconds *Bounds `json:"ttft_seconds,omitempty"`
	TPOTSeconds *Bounds `json:"tpot_seconds,omitempty"`
	Joules      *Bounds `json:"joules,omitempty"`
	NoJoules    string  `json:"no_joules,omitempty"` // why there are none
	Basis       []Basis `json:"basis"`
	// Outside says what of the question lies beyond what was measured, each with the pointer of the member of a request.
	Outside []string `json:"outside"`
}

// Bounds are the ends of an interval.
type Bounds [2]float64

// Basis is a class of measurements that an interval rests on.
type Basis struct {
	Class   string `json:"class"`
	Device  string `json:"device"` // that was measured; "*" for all that were held out in turn
	Runtime string `json:"runtime,omitempty"`
	Rows    int    `json:"n"`
	Devices int    `json:"devices,omitempty"` // how many were held out
	// Share of the time, of a whole model that is put together of operators.
	Share float64 `json:"share,omitempty"`
	// Bias is the median of measured over simulated less one; Low and High are the quantiles less one.
	Bias float64 `json:"bias"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	Note string  `json:"note,omitempty"`
}
