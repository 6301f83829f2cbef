#!/usr/bin/env python3
"""Models for one RTX 4090: time to the first token against a law of the loss, by DEAP's NSGA-II.

    STRATA=strata python3 examples/nas_deap.py [--generations 12] [--population 40] [--seed 1] [--url http://127.0.0.1:8741]

The space is described here, as a sweep file would be: SPACE. Its constraints keep the weights below 12 GB and a step below 50 ms;
what weighs more is not timed at all. Needs DEAP (Debian: python3-deap).
"""

import argparse
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "clients" / "python"))

from deap import algorithms, tools
import strata

SPACE = {
    "name": "small-models", "arch": "rtx-4090", "model": "llama2-7b",
    "workload": {"phase": "prefill", "batch": 1, "prompt": 512, "fidelity": "analytic"},
    "axes": [
        {"path": "model.num_hidden_layers", "name": "depth", "range": {"from": 8, "to": 40, "step": 4}},
        {"path": "model.num_attention_heads", "name": "width", "values": [8, 12, 16, 24, 32]},
        {"name": "share", "values": [1, 2, 4]},
        {"name": "ratio", "values": [2, 3, 4, 5]},
    ],
    "derived": {
        "model.hidden_size": "width * 128", "model.head_dim": "128", "model.num_key_value_heads": "width / share",
        "model.intermediate_size": "ratio * width * 128",
    },
    "quality": {"law": "besiroglu2024", "tokens": 300e9},
    "constraints": ["parameter_bytes < 12e9", "seconds < 0.05"],
    "objectives": [{"column": "seconds"}, {"column": "loss_proxy"}],
}


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--generations", type=int, default=12)
    flags.add_argument("--population", type=int, default=40, help="a multiple of 4")
    flags.add_argument("--seed", type=int, default=1)
    flags.add_argument("--url", help="a server of strata oracle serve, in place of a process")
    args = flags.parse_args()
    random.seed(args.seed)

    with strata.Oracle(url=args.url) as oracle:
        toolbox = strata.deap_toolbox(oracle.space(SPACE))
        population, seen = [], []
        new = toolbox.population(args.population)
        for _ in range(args.generations + 1):
            for individual, fitness in zip(new, toolbox.map(toolbox.evaluate, new)):  # one call to the oracle
                individual.fitness.values = fitness
                seen.append(individual.candidate)
            population = toolbox.select(population + new, args.population)
            parents = [toolbox.clone(i) for i in tools.selTournamentDCD(population, args.population)]
            new = [i for i in algorithms.varAnd(parents, toolbox, cxpb=0.9, mutpb=0.5) if not i.fitness.valid]

    front = strata.pareto(seen)
    print(f"{len(seen)} points, {sum(c.feasible for c in seen)} within the constraints; {len(front)} are dominated by no other, among them:\n")
    print(f"{'depth':>5} {'heads':>5} {'share':>5} {'ratio':>5} {'first token, ms':>15} {'loss':>7}")
    for c in front[::max(1, len(front) // 12)]:
        print(f"{c.point['depth']:5} {c.point['width']:5} {c.point['share']:5} {c.point['ratio']:5} {1e3 * c.values[0]:15.3f} {c.values[1]:7.4f}")


if __name__ == "__main__":
    main()
