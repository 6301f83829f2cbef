// Package page writes a report of many points as one HTML file that needs nothing else: charts to compare them, the roofline,
// where time and energy went, what each axis does to an objective, a table, and where it all comes from.
//
// The file holds the data as JSON, by column, and a script that draws it on canvases, so that ten thousand points stay fluid
// and below 3 MB. It loads nothing: a policy in the page forbids that, and lets no script run but its own, by hash. Names of
// machines, models and sweeps are text wherever they appear. Figures are rounded to six digits, parts of times and energies to
// four; the same report is the same file to the byte.
//
// page.html, page.css and page.js are the page without its data.
package page
