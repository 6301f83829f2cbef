-- Generated from columns.go by: go test ./experiments/store -run LastMigration -update

ALTER TABLE runs ADD COLUMN fusion TEXT; -- what took the place of the runtime's fusions; no value for nothing
