-- Generated from columns.go by: go test ./experiments/store -run LastMigration -update

ALTER TABLE runs ADD COLUMN sequences_at_a_time INTEGER; -- sequences in work together, where the cache of all has no room and they take turns
ALTER TABLE runs ADD COLUMN prefetch INTEGER; -- how many layers ahead of its use a layer is fetched from a lower memory
ALTER TABLE runs ADD COLUMN fetched_bytes INTEGER; -- fetched from lower memories by one chip [B]
ALTER TABLE runs ADD COLUMN stored_bytes INTEGER; -- stored to lower memories by one chip [B]
ALTER TABLE runs ADD COLUMN move_seconds REAL; -- time of the copies between memories [s]
ALTER TABLE runs ADD COLUMN exposed_ddr_seconds REAL; -- time in which a chip waited for them [s]
