// Package report writes answers, machines, models and lists of results as text for people, and lists as CSV and JSON
// for programs.
//
// Run prints an answer: a summary, where the time went, memory tiers, the longest operators, the bottleneck and what
// would relieve it, what was modelled, and where the figures come from. Machine draws a chip, Model describes a model,
// Placement says what lives in which memory. Text is at most 100 columns wide. It is built with the symbols that
// people expect (→, ×, block characters); Style says whether they may stay, and ASCII takes them out.
//
// All figures are those of the answer: nothing is computed here but percentages, ratios and sums. Capacities are
// printed in binary units (GiB), traffic and rates in decimal ones (GB, GB/s), with four digits.
package report
