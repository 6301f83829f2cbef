package workload

import (
	"fmt"

	"github.com/stratasim/strata/sim/portable"
)

// file is a workload file.
type file struct {
	Requests  int64    `yaml:"requests" spec:"min=0,max=10000000"`
	Seed      int64    `yaml:"seed" spec:"min=0"`
	Batch     int64    `yaml:"batch" spec:"min=0,max=2147483648"`
	Round     int64    `yaml:"round" spec:"min=0,max=65536"`
	Prompt    *lengths `yaml:"prompt"`
	Generate  *lengths `yaml:"generate"`
	Empirical string   `yaml:"empirical"`
	List      []listed `yaml:"list"`
}

// listed is an entry of a list.
type listed struct {
	Prompt   int64 `yaml:"prompt" spec:"min=0,max=2147483648"`
	Generate int64 `yaml:"generate" spec:"min=0,max=2147483648"`
	Weight   int64 `yaml:"weight" spec:"min=0,max=1000000000"`
}

// Validate implements the interface of package spec.
func (f *file) Validate(report func(path, message, hint string)) {
	ways := 0
	for _, given := range []bool{f.Prompt != nil || f.Generate != nil, f.Empirical != "", len(f.List) > 0} {
		if given {
			ways++
		}
	}
	switch {
	case ways == 0:
		report("", "there are no lengths", "give prompt and generate, or empirical: FILE.csv, or list")
	case ways > 1:
		report("", "lengths are given in several ways", "give prompt and generate, or empirical, or list")
	case f.Prompt == nil && f.Generate != nil:
		report("prompt", "there is no distribution of prompts", "e.g. prompt: {fixed: 512}")
	case f.Prompt != nil && f.Requests == 0:
		report("requests", "how many requests are to be drawn?", "e.g. requests: 1000")
	case f.Prompt == nil && f.Requests == 0 && f.Seed != 0:
		report("seed", "nothing is drawn: the list is taken as it is", "leave it out, or say how many requests are to be drawn from the list")
	}
}

// lengths is a distribution of numbers of tokens: exactly one of the kinds.
type lengths struct {
	Fixed     *int64     `yaml:"fixed" spec:"min=0,max=2147483648"`
	Uniform   *uniform   `yaml:"uniform"`
	Normal    *normal    `yaml:"normal"`
	Lognormal *lognormal `yaml:"lognormal"`
	Zipf      *zipf      `yaml:"zipf"`
	Min       *int64     `yaml:"min" spec:"min=0,max=2147483648"`
	Max       *int64     `yaml:"max" spec:"min=1,max=2147483648"`
}

type uniform struct {
	Min int64 `yaml:"min" spec:"required,min=0,max=2147483648"`
	Max int64 `yaml:"max" spec:"required,min=1,max=2147483648"`
}

type normal struct {
	Mean  float64  `yaml:"mean" spec:"required,gt=0,max=2147483648"`
	Sigma *float64 `yaml:"sigma" spec:"min=0,max=2147483648"`
	P95   *float64 `yaml:"p95" spec:"gt=0,max=2147483648"`
}

type lognormal struct {
	Mean  *float64 `yaml:"mean" spec:"gt=0,max=2147483648"`
	P50   *float64 `yaml:"p50" spec:"gt=0,max=2147483648"`
	P95   *float64 `yaml:"p95" spec:"gt=0,max=2147483648"`
	Sigma *float64 `yaml:"sigma" spec:"min=0,max=10"`
}

type zipf struct {
	Exponent float64 `yaml:"exponent" spec:"required,gt=0,max=20"`
	Min      int64   `yaml:"min" spec:"required,min=0,max=2147483648"`
	Max      int64   `yaml:"max" spec:"required,min=1,max=2147483648"`
}

// maxZipf bounds the table of a Zipf distribution.
const maxZipf = 1 << 20

// z95 is the 95 % quantile of the standard normal distribution.
var z95 = portable.NormalQuantile(0.95)

// Validate implements the interface of package spec.
func (l *lengths) Validate(report func(path, message, hint string)) {
	kinds := 0
	for _, given := range []bool{l.Fixed != nil, l.Uniform != nil, l.Normal != nil, l.Lognormal != nil, l.Zipf != nil} {
		if given {
			kinds++
		}
	}
	if kinds != 1 {
		report("", fmt.Sprintf("%d distributions: exactly one is needed", kinds), "fixed, uniform, normal, lognormal or zipf, perhaps with min and max")
	}
	if (l.Min != nil || l.Max != nil) && (l.Fixed != nil || l.Uniform != nil || l.Zipf != nil) {
		report("", "min and max are limits of normal and lognormal", "leave them out: the distribution says itself how far it goes")
	}
	if l.Min != nil && l.Max != nil && *l.Min > *l.Max {
		report("max", fmt.Sprintf("%d: is less than min", *l.Max), "")
	}
}

// Validate implements the interface of package spec.
func (u *uniform) Validate(report func(path, message, hint string)) {
	if u.Max < u.Min {
		report("max", fmt.Sprintf("%d: is less than min", u.Max), "")
	}
}

// Validate implements the interface of package spec.
func (n *normal) Validate(report func(path, message, hint string)) {
	if (n.Sigma == nil) == (n.P95 == nil) {
		report("", "how wide is it?", "give mean and one of sigma and p95")
	} else if n.P95 != nil && *n.P95 < n.Mean {
		report("p95", fmt.Sprintf("%g: is less than the mean", *n.P95), "")
	}
}

// Validate implements the interface of package spec.
func (n *lognormal) Validate(report func(path, message, hint string)) {
	given := 0
	for _, p := range []*float64{n.Mean, n.P50, n.P95, n.Sigma} {
		if p != nil {
			given++
		}
	}
	if given != 2 || n.Sigma != nil && n.P95 != nil {
		report("", "the distribution is not determined", "give two: mean or p50 with p95 or sigma (of the logarithm), or mean with p50")
		return
	}
	switch {
	case n.P50 != nil && n.P95 != nil && *n.P95 < *n.P50:
		report("p95", fmt.Sprintf("%g: is less than p50", *n.P95), "")
	case n.Mean != nil && n.P50 != nil && *n.Mean < *n.P50:
		report("mean", fmt.Sprintf("%g: is less than p50, which no lognormal distribution has", *n.Mean), "")
	case n.Mean != nil && n.P95 != nil && (*n.P95 < *n.Mean || 2*portable.Ln(*n.P95 / *n.Mean) > z95*z95):
		report("p95", fmt.Sprintf("%g: no lognormal distribution has that with a mean of %g", *n.P95, *n.Mean),
			fmt.Sprintf("from the mean to %.4g times it, or give p50 and p95", portable.Exp(z95*z95/2)))
	}
}

// Validate implements the interface of package spec.
func (z *zipf) Validate(report func(path, message, hint string)) {
	switch {
	case z.Max < z.Min:
		report("max", fmt.Sprintf("%d: is less than min", z.Max), "")
	case z.Max-z.Min >= maxZipf:
		report("max", fmt.Sprintf("%d lengths from min to max, at most %d are possible", z.Max-z.Min+1, maxZipf), "")
	}
}
