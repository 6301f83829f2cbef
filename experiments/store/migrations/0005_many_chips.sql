-- Generated from columns.go by: go test ./experiments/store -run LastMigration -update

ALTER TABLE runs ADD COLUMN moe_tp INTEGER; -- chips that divide each expert, where that does not follow from the others
ALTER TABLE runs ADD COLUMN attn_dp INTEGER; -- groups of tp chips with sequences of their own
