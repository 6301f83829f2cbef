// Package cost estimates what a design takes in silicon and in money: the area of its dies part by part, what good ones cost,
// the price of chip and node, and what a node costs to own for an hour and for a million tokens.
//
// # Model
//
// A chip is its physical cores, spare ones that products disable included, and what they share. Logic is counted in
// transistors over the density of the process:
//
//	control        996 200 for each lane that a core controls (its sublanes times their width)
//	scalar units   int32 177 690; floating point 685 300·(mantissa bits/52)², fp64 having all of them
//	matrix units   a floating-point unit for each multiply-add
//	communication  44.3 million for each core, its share of the crossbar
//	controllers    by interface, for each stack, channel or lane
//
// On-chip memory is bits times the area of a bit cell over the share of a macro that cells take, which goes by its size
// (macros of 512 KiB at most, and never less area for more bytes). Register files follow an empirical formula in entries,
// bits and ports for 90 nm, shrunk by density. PHYs are millimetres that do not shrink. Interfaces and shared memory may be
// on dies of their own, in another process.
//
// A wafer of diameter d = 300 mm has π(d/2)²/A − πd/√(2A) dies of area A, of which (1 + A·D/3)⁻³ are good at a
// density D of defects. Chips are dies, memory, package and test; their price has a margin on top. The node adds
// a server, its memory and its network interfaces. An hour of it costs
//
//	(node·CRF + building·watts·PUE·CRF' + upkeep·node) / 8760 + mean power·PUE·price of electricity
//
// where CRF = i/(1−(1+i)⁻ⁿ) pays a price back in n years at an interest of i, and watts is the most that the node draws. A million tokens
// costs an hour over the tokens of an hour, at the share of time with paid work.
//
// Constants are in tables with their sources; those that nobody publishes are in Usual and say that they are estimated. What a machine
// needs beyond them, such as the price of a wafer in a process that the tables lack, is an error that names the field.
//
// # Units
//
// Square millimetres, nanometres, watts and US dollars as types of package sim/units; transistors and shares as plain numbers. Memory is
// priced by 2³⁰ bytes, of which "80 GB" of HBM has 80.
//
// # Limits
//
// The constants of control, communication and bit cells were found on two GPUs of 6 and 7 nm, GA100 and Aldebaran. They stand for
// fetch, schedulers, texture units and wiring of such cores; other kinds of cores can be far off, see docs/area.md.
// Unlike products, every chip counts only good dies: one with a defect in a spare core is thrown away.
//
// # Not modelled
//
// Masks and design, video engines and other parts without a share in a run, several layers of metal or stacked dies and
// their bonding, wafers at prices other than of 2020, prices that follow volume, networks beyond the node, residual values and tax.
//
// # References
//
// Zhang et al., LLMCompass, ISCA 2024, and its cost model (github.com/PrincetonUniversity/LLMCompass, 2e015fd). Ning, Tziantzioulis
// and Wentzlaff, Supply Chain Aware Computer Architecture, ISCA 2023 (ttm-cas, d98ac05). Khan and Mann, AI Chips: What They Are and Why They Matter,
// CSET 2020. Barroso, Hölzle and Ranganathan, The Datacenter as a Computer, 3rd edition, 2018, chapter 6.
package cost
