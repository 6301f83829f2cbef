-- Generated from columns.go by: go test ./experiments/store -run LastMigration -update

ALTER TABLE points ADD COLUMN model_parameters REAL; -- parameters of its model, embeddings included
ALTER TABLE points ADD COLUMN active_parameters REAL; -- those of them that a token passes: without the experts that it is not sent to
ALTER TABLE points ADD COLUMN parameter_bytes REAL; -- all of them in their formats: tables of tokens and positions and the head in that of activations, the rest in that of weights [B]
ALTER TABLE points ADD COLUMN loss_proxy REAL; -- loss in nats a token that the published law of the sweep file gives a model of this size; no value where the law is not about it
ALTER TABLE points ADD COLUMN loss_extrapolated REAL; -- 1 where size or tokens are beyond what the law was fitted on, else 0
-- Answers to estimate requests, which strata estimate --cache keeps.
CREATE TABLE answers (
  key TEXT NOT NULL, -- hash of everything that the answer depends on: the request, the content of machine and model, the version of the models and the program
  answer TEXT NOT NULL, -- the answer, without the id of a request
  figures TEXT NOT NULL, -- its figures that limits and metrics may name
  PRIMARY KEY (key)
) WITHOUT ROWID;
