package validation

// suites is the ladder.
var suites = []Suite{
	{"systolic", "systolic arrays, against SCALE-Sim v2: cycles, accesses, use", loadSystolic},
	{"dram", "streams of accesses to DRAM, against Ramulator 2.1 and DRAMsim3", loadDRAM},
	{"kernels", "single kernels on silicon, as profilers see them or the host times them", loadKernels},
	{"tpu", "single kernels on TPU v4 and v6e, as their profilers see them", loadTPU},
	{"network", "collectives on silicon", loadNetwork},
	{"published", "whole models and claims that were published", loadPublished},
	{"training", "seconds of training steps, and memory (llm-foundry, BigScience, single figures of papers)", loadTraining},
	{"training-published", "seconds of training steps that papers and frameworks publish with their mapping", loadReported},
	{"serving", "time to the first token and between tokens of vLLM of 2023 (Splitwise)", loadServing},
	{"servers", "time between tokens of servers with so many requests in work (aiconfigurator)", loadServers},
	{"power", "average and peak power of vLLM of 2023 (Splitwise)", loadPower},
}
