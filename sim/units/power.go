package units

// Power returns xʸ for 0 < x ≤ 1 and y > 0, to some 50 bits and the same on every platform, which math.Pow
// is not. What is below 2⁻²⁰⁰ is 0.
func Power(x, y float64) float64 { return power(x, y) }
