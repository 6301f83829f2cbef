package shard

import (
	"fmt"
	"path"
	"strings"
)

// kubernetes writes an Indexed Job, and a suspended job that merges, because jobs do not wait for one another. The exit codes
// of strata sweep run decide what happens: bad input fails the index for good, and so do points that failed, for they would
// fail again; an interrupted shard goes on in another pod, as one that was evicted does; anything else is tried again.
func (j *Job) kubernetes() string {
	const data, spec = "/data", "/sweep"
	on := *j // as the containers see it
	on.DB = path.Join(data, path.Base(j.DB))
	on.File = path.Join(spec, "sweep.yaml")
	yaml := func(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
	args := func(b *strings.Builder, words ...string) {
		for _, w := range words {
			fmt.Fprintf(b, "            - %s\n", yaml(w))
		}
	}
	resources := fmt.Sprintf("cpu: %s", yaml(fmt.Sprint(j.cpus())))
	if j.Memory > 0 {
		resources += fmt.Sprintf(", memory: %s", yaml(fmt.Sprintf("%dMi", j.megabytes())))
	}
	pod := func(b *strings.Builder, words ...string) {
		b.WriteString("  template:\n    spec:\n      restartPolicy: Never\n")
		fmt.Fprintf(b, "      terminationGracePeriodSeconds: %d\n", StopSeconds)
		if j.Time > 0 {
			fmt.Fprintf(b, "      activeDeadlineSeconds: %d\n", int64(j.Time.Seconds()))
		}
		fmt.Fprintf(b, "      containers:\n        - name: strata\n          image: %s\n          command:\n", yaml(j.Image))
		args(b, words...)
		fmt.Fprintf(b, "          env:\n            - {name: %s, value: %s}\n", CountVariable, yaml(fmt.Sprint(j.Shards)))
		fmt.Fprintf(b, "          resources:\n            requests: {%s}\n            limits: {%s}\n", resources, resources)
		// The folder of a path in a volume is made when it is mounted.
		fmt.Fprintf(b, "          volumeMounts:\n            - {name: data, mountPath: %s}\n            - {name: data, mountPath: %s, subPath: %s}\n", data, yaml(on.ShardFolder()), yaml(path.Base(on.ShardFolder())))
		b.WriteString("            - {name: sweep, mountPath: " + spec + ", readOnly: true}\n            - {name: scratch, mountPath: /scratch}\n")
		fmt.Fprintf(b, "      volumes:\n        - {name: data, persistentVolumeClaim: {claimName: %s}}\n", yaml(j.Claim))
		fmt.Fprintf(b, "        - {name: sweep, configMap: {name: %s}}\n        - {name: scratch, emptyDir: {}}\n", j.jobName())
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# Sweep %[1]s in %[2]d shards on Kubernetes 1.33 or newer. Written by: strata sweep submit --to k8s
#   kubectl create -f FILE
# When no pod of it runs any more (kubectl get job %[1]s), merge:
#   kubectl patch job/%[1]s-merge --type=merge -p '{"spec":{"suspend":false}}'
apiVersion: v1
kind: ConfigMap
metadata:
  name: %[1]s
data:
  sweep.yaml: |2
`, j.jobName(), j.Shards)
	for line := range strings.Lines(j.Text) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			line = "    " + line
		}
		b.WriteString(line + "\n")
	}
	fmt.Fprintf(&b, `---
apiVersion: batch/v1
kind: Job
metadata:
  name: %s
spec:
  completionMode: Indexed
  completions: %d
  parallelism: %d
  backoffLimitPerIndex: 3
  maxFailedIndexes: %d
  podFailurePolicy:
    rules:
      - action: FailIndex
        onExitCodes: {containerName: strata, operator: In, values: [2, 4]}
      - action: Ignore
        onExitCodes: {containerName: strata, operator: In, values: [75]}
      - action: Ignore
        onPodConditions:
          - {type: DisruptionTarget}
`, j.jobName(), j.Shards, min(j.Shards, 1000), j.Shards)
	index := "$(JOB_COMPLETION_INDEX)"
	pod(&b, append([]string{j.Program, "sweep", "run", on.File, "--shard", fmt.Sprintf("%s/%d", index, j.Shards), "--db", on.ShardFile(index), "--local", "/scratch"}, j.Flags...)...)
	fmt.Fprintf(&b, "---\napiVersion: batch/v1\nkind: Job\nmetadata:\n  name: %s-merge\nspec:\n  suspend: true\n  backoffLimit: 0\n", j.jobName())
	pod(&b, j.Program, "sweep", "merge", on.ShardFolder(), "-o", on.DB, "--expect", on.File)
	return b.String()
}
