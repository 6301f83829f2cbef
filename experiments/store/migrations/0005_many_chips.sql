-- Generated from columns.go by: go test ./experiments/store -run LastMigration -update

ALTER TABLE runs ADD COLUMN moe_tp INTEGER; -- chips that divide each expert, where that does not follow from the others
ALTER TABLE runs ADD COLUMN attn_dp INTEGER; -- groups of tp chips with sequences of their own
ALTER TABLE runs ADD COLUMN exchange TEXT; -- how tokens of groups come to experts; no value for gather
ALTER TABLE runs ADD COLUMN in_flight INTEGER; -- batches that follow one another through a pipeline; no value for one
ALTER TABLE runs ADD COLUMN exposed_cp_seconds REAL; -- context-parallel communication that nothing hides [s]
ALTER TABLE runs ADD COLUMN interleave INTEGER; -- chunks of layers that a stage of a pipeline has
ALTER TABLE runs ADD COLUMN micro_batch INTEGER; -- sequences of a micro-batch
ALTER TABLE runs ADD COLUMN microbatches INTEGER; -- micro-batches that a data-parallel rank works on in a step
ALTER TABLE runs ADD COLUMN schedule TEXT; -- schedule of the pipeline
ALTER TABLE runs ADD COLUMN recompute TEXT; -- part of a layer that is computed again for its backward pass
ALTER TABLE runs ADD COLUMN recomputed_share REAL; -- share of the layers that are
ALTER TABLE runs ADD COLUMN zero_stage INTEGER; -- stage of ZeRO: what of the state is divided over data-parallel ranks
ALTER TABLE runs ADD COLUMN trained_parameters INTEGER; -- parameters that are trained
ALTER TABLE runs ADD COLUMN straggler_factor REAL; -- by how much the slowest chip is expected to be slower than the mean
ALTER TABLE runs ADD COLUMN pipeline_seconds REAL; -- from the first to the last pass of a step [s]
ALTER TABLE runs ADD COLUMN reduce_seconds REAL; -- after that, until gradients are summed [s]
ALTER TABLE runs ADD COLUMN update_seconds REAL; -- update of the weights [s]
ALTER TABLE runs ADD COLUMN tokens_per_second_per_chip REAL; -- tokens of a step per second and chip
ALTER TABLE runs ADD COLUMN model_tflops_per_chip REAL; -- operations of the model per second and chip, in 10^12
ALTER TABLE runs ADD COLUMN executed_tflops_per_chip REAL; -- operations that were executed per second and chip, in 10^12
ALTER TABLE runs ADD COLUMN without_faults_seconds REAL; -- step without its slow chips and links [s]
ALTER TABLE runs ADD COLUMN faults_seconds REAL; -- time that they add [s]
ALTER TABLE runs ADD COLUMN faults_share REAL; -- that as a share of the step without them
ALTER TABLE runs ADD COLUMN faults_waiting_stage INTEGER; -- stage of the chips whose waiting grows most by them
ALTER TABLE runs ADD COLUMN faults_waiting_chips INTEGER; -- those chips
ALTER TABLE runs ADD COLUMN faults_waiting_seconds REAL; -- by how much it grows [s]
ALTER TABLE runs ADD COLUMN whole_run_tokens INTEGER; -- tokens of a whole run of training
ALTER TABLE runs ADD COLUMN whole_run_steps INTEGER; -- its steps
ALTER TABLE runs ADD COLUMN whole_run_seconds REAL; -- its time, of steps alike [s]
ALTER TABLE runs ADD COLUMN whole_run_chip_hours REAL; -- hours of all chips together
ALTER TABLE runs ADD COLUMN whole_run_joules REAL; -- its energy, times pue [J]
ALTER TABLE runs ADD COLUMN pue REAL; -- power usage effectiveness of its data centre
ALTER TABLE runs ADD COLUMN whole_run_usd REAL; -- rent of its chips in USD
