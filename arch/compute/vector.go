package compute

// Vector is the vector and special-function part of one core.
type Vector struct {
	// Lanes is the number of simple FP32 operations (add, multiply, compare, fused multiply-add
	// counted once) per cycle and core.
	Lanes int64 `yaml:"lanes" spec:"required,min=1,max=1e9"`
	// Integer is the number of operations on whole numbers (add, shift, and, or) per cycle and core that run
	// beside Lanes; 0 when they take Lanes.
	Integer int64 `yaml:"integer,omitempty" spec:"min=0,max=1e9"`
	// Special is the number of transcendental operations (exp, rsqrt, tanh, erf) per cycle and core.
	Special int64 `yaml:"special" spec:"required,min=1,max=1e9"`
	// Convert is the number of conversions between number formats per cycle and core; as many as
	// Lanes when absent.
	Convert int64 `yaml:"convert,omitempty" spec:"min=0,max=1e9"`
}
