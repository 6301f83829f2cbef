#!/usr/bin/env python3
"""Models like Llama that answer fast and would be good, on one A100: a search with Optuna's NSGA-II.

    STRATA=strata python3 examples/nas_optuna.py [--trials 400] [--seed 1] [--url http://127.0.0.1:8741]

The space is strata's llama-like: depth, heads, their width and sharing, and the width of the feed-forward network. A step of decoding for
eight sequences is to take 6 ms at most, and the model has to fit beside its cache. loss_proxy is a published law of the loss: it
knows of parameters and tokens alone, so it says nothing of shapes. Needs Optuna (Debian: python3-optuna).
"""

import argparse
import pathlib
import sys
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "clients" / "python"))

import optuna
import strata


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--trials", type=int, default=400)
    flags.add_argument("--seed", type=int, default=1)
    flags.add_argument("--url", help="a server of strata oracle serve, in place of a process")
    args = flags.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)

    with strata.Oracle(url=args.url) as oracle:
        space = oracle.space("llama-like", limits={"seconds": 0.006}, metrics=["joules"])
        sampler = optuna.samplers.NSGAIISampler(seed=args.seed, population_size=40, constraints_func=strata.optuna_constraints(space))
        study = optuna.create_study(directions=["minimize"] * len(space.objectives), sampler=sampler)
        candidates = strata.optuna_optimize(study, space, args.trials, batch=40)

    front = strata.pareto(candidates)
    refused = sum(c.values is None for c in candidates)
    print(f"{len(candidates)} trials, {refused} refused, {sum(c.feasible for c in candidates)} within the limit; {len(front)} are dominated by no other, among them:\n")
    print(f"{'layers':>6} {'heads':>5} {'dim':>4} {'share':>5} {'ffn':>4} {'time, ms':>9} {'energy, J':>9} {'loss':>7}")
    for c in front[::max(1, len(front) // 12)]:
        p = c.point
        print(f"{p['num_hidden_layers']:6} {p['num_attention_heads']:5} {p['head_dim']:4} {p['kv_groups']:5} {p['ffn_ratio']:4} "
              f"{1e3 * c.values[0]:9.3f} {c.estimate.joules:9.3f} {c.values[1]:7.4f}")


if __name__ == "__main__":
    main()
