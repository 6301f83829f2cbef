// Package store keeps results in an SQLite database: one file that can be queried, merged,
// resumed into, and from which any point can be run again.
//
// # Model
//
// Table runs has one row a point, with every scalar of its answer as a column; operators, stalls,
// memory and energy hold the parts of the answer that are lists; inputs holds the machine files,
// model configurations and traces that points were made from, by content hash, and run_inputs says
// which point needs which; sweeps and meta describe the file. Tables lists all of them with the
// type, unit and meaning of every column, and a test holds the schema to that one list. The schema
// grows by migrations, columns that rows of older files do not have; opening a file for writing
// brings it up to date.
//
// A row is identified by its key, a hash of all that can change its answer. Putting the same row
// again changes nothing, so a sweep resumes by running again and shards merge by being put into
// one file. The same key with another answer from the same version of the models means that the
// simulator was not deterministic, or that the database was edited: Put refuses it (ErrConflict).
// A row of another version of the models replaces the old one.
//
// Each Put is one transaction: after an error, a crash or a full disk a row is there with all its
// parts or not at all. Several processes may write to one file at once. Open looks for everything
// that would make a later Put fail, so that a long simulation does not lose its result at the end.
// The time of day is in no row; only meta may hold it.
//
// # Units
//
// The unit of a number ends its column name: seconds, bytes, joules, watts, usd. Columns without
// a unit are counts or shares, as their description says.
//
// # Sources
//
// SQLite's own documentation: write-ahead logging (wal.html), the file header (fileformat2.html
// §1.3: application_id and user_version), URI file names (uri.html). The form of the answer is
// strata.run/1.
//
// # Not modelled
//
// Nothing is deleted on its own: inputs that no row uses any more stay until the file is made
// anew. Write-ahead logging does not work across machines, so on network file systems the
// database falls back to a rollback journal and only one machine should write at a time.
package store
