-- Generated from columns.go by: go test ./experiments/store -run LastMigration -update

ALTER TABLE sweeps ADD COLUMN kind TEXT; -- sweep or search
ALTER TABLE sweeps ADD COLUMN spec_hash TEXT; -- hash of what decides about its points: the file without comments, and files that it names
ALTER TABLE sweeps ADD COLUMN count INTEGER; -- points that it has; no value for a search
-- What every point of a sweep or search came to.
CREATE TABLE points (
  sweep TEXT NOT NULL, -- name of the sweep
  point INTEGER NOT NULL, -- place in the order of the sweep, from 0
  key TEXT, -- key of its row in runs; no value where nothing was run
  status TEXT NOT NULL, -- ok, infeasible (it does not fit), rejected (a constraint), invalid (cannot be asked for), timeout, memory or error
  reason TEXT, -- why the status is not ok
  parameters TEXT NOT NULL, -- its value on each axis, by the name of the axis: numbers in the units of the columns here (bytes, bytes per second, hertz, seconds, watts), texts and truths
  generation INTEGER, -- generation of a search, from 0
  violation REAL, -- by how much constraints are missed, each as a share of its limit; no value for none
  area_mm2 REAL, -- dies of a chip, where the machine file has what is needed; this and what follows hang on figures that are no part of a run
  chip_usd REAL, -- price of a chip
  tco_usd_per_hour REAL, -- cost of owning the chips of the run
  tco_usd_per_million_tokens REAL, -- cost of a million tokens on chips that are owned, at the usual utilisation
  columns TEXT, -- figures that the sweep file defines, by name
  PRIMARY KEY (sweep, point)
) WITHOUT ROWID;
