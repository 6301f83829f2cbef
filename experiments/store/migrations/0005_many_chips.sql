-- Generated from columns.go by: go test ./experiments/store -run LastMigration -update

ALTER TABLE runs ADD COLUMN moe_tp INTEGER; -- chips that divide each expert, where that does not follow from the others
ALTER TABLE runs ADD COLUMN attn_dp INTEGER; -- groups of tp chips with sequences of their own
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
