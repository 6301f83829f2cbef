package shard

import (
	"fmt"
	"strconv"
)

// CountVariable is the variable of the environment that tells the number of shards where the scheduler does not.
const CountVariable = "STRATA_SHARD_COUNT"

// A scheduler is known by the variable that holds the index of a task.
type scheduler struct {
	variable string
	name     string
	first    int64  // index of the first task of its arrays
	count    string // variable that holds the number of shards whichever of them were submitted, or ""
}

var schedulers = []scheduler{
	// SLURM_ARRAY_TASK_COUNT counts the tasks that were submitted: it is 2 when 3 and 7 of 8 are submitted again.
	{variable: "SLURM_ARRAY_TASK_ID", name: "Slurm"},
	{variable: "JOB_COMPLETION_INDEX", name: "Kubernetes"},
	{variable: "PBS_ARRAY_INDEX", name: "PBS"},
	{variable: "PBS_ARRAYID", name: "Torque"},
	{variable: "SGE_TASK_ID", name: "Grid Engine", first: 1}, // which has no task 0
	// Arrays of AWS Batch begin at 0 and are never submitted in part.
	{variable: "AWS_BATCH_JOB_ARRAY_INDEX", name: "AWS Batch", count: "AWS_BATCH_JOB_ARRAY_SIZE"},
}

// FromEnvironment finds out which shard this process is, and from what: "--shard" if flag is not empty, else the variables
// of a scheduler, with the number of shards in STRATA_SHARD_COUNT. Without any of them it is All, from "". lookup is
// os.LookupEnv.
//
// A task of a job array that is not told the number of shards is an error: it would do all the work, as would the others.
func FromEnvironment(flag string, lookup func(string) (string, bool)) (s Shard, from string, err error) {
	if flag != "" {
		if s, err = Parse(flag); err != nil {
			return Shard{}, "", fmt.Errorf("--shard: %w", err)
		}
		return s, "--shard", beginsAtOne(s, lookup)
	}
	for _, m := range schedulers {
		index, found := lookup(m.variable)
		if !found || index == "" || index == "undefined" { // which is how Grid Engine says that there is no array
			continue
		}
		count, from := lookupCount(m, lookup)
		if count == "" {
			return Shard{}, "", fmt.Errorf("this is task %s of a job array of %s (%s), but nothing tells how many shards there are: "+
				"give --shard \"$%s/N\", or set %s to N; --shard 0/1 runs all points here", index, m.name, m.variable, m.variable, CountVariable)
		}
		from = m.variable + " and " + from
		i, err := strconv.ParseInt(index, 10, 64)
		if err != nil {
			return Shard{}, "", fmt.Errorf("%s is %q, not a whole number", m.variable, index)
		}
		s, err := Parse(fmt.Sprintf("%d/%s", max(i-m.first, 0), count))
		if err == nil && i < m.first {
			err = fmt.Errorf("tasks of %s count from %d", m.name, m.first)
		}
		if err != nil {
			return Shard{}, "", fmt.Errorf("%s = %s: %w", from, index, err)
		}
		return s, from, beginsAtOne(s, lookup)
	}
	return All, "", nil
}

func lookupCount(m scheduler, lookup func(string) (string, bool)) (count, from string) {
	for _, v := range []string{CountVariable, m.count} {
		if v == "" {
			continue
		}
		if count, _ := lookup(v); count != "" {
			return count, v
		}
	}
	return "", ""
}

// beginsAtOne complains about an array of Slurm from 1 to N in every one of its tasks, not only in the last, which alone
// has an index that does not exist. The first shard would be missing. Who subtracts 1 from the index is right.
func beginsAtOne(s Shard, lookup func(string) (string, bool)) error {
	number := func(name string) int64 {
		text, _ := lookup(name)
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return -1
		}
		return n
	}
	if number("SLURM_ARRAY_TASK_MIN") == 1 && number("SLURM_ARRAY_TASK_MAX") == s.Count && number("SLURM_ARRAY_TASK_ID") == s.Index {
		return fmt.Errorf("the job array has the indices 1-%d, but shards count from 0: submit it with --array=0-%d", s.Count, s.Count-1)
	}
	return nil
}
