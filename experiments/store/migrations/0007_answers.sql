-- Generated from columns.go by: go test ./experiments/store -run LastMigration -update

-- Answers to estimate requests, which strata estimate --cache keeps.
CREATE TABLE answers (
  key TEXT NOT NULL, -- hash of everything that the answer depends on: the request, the content of machine and model, the version of the models and the program
  answer TEXT NOT NULL, -- the answer, without the id of a request
  figures TEXT NOT NULL, -- its figures that limits and metrics may name
  PRIMARY KEY (key)
) WITHOUT ROWID;
