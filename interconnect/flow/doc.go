// Package flow computes how long collectives take on a network of links, with everything that shares a link sharing its
// rate.
//
// # Model
//
// A network is ranks and switches joined by directed links, each with a rate and a latency. It is built of dimensions: rank
// r has the coordinates of r in mixed radix, the first dimension fastest, and the ranks that differ in one coordinate alone
// are joined by that dimension's topology. So a torus is dimensions that are rings, and nodes with a switch inside and
// rails between them are a switch and a fat tree. Or it is an explicit list of links. Routes go through the dimensions in order,
// the shorter way round a ring, half each way where both are as long; through an explicit graph, and round links that failed, they
// take the fewest links.
//
// A collective is sets of flows, one after the other, each repeated so many times: a ring is its neighbours, 2(n−1) times. The
// rates of flows are max-min fair: all grow alike until a link is full, whose flows stay while the others grow on. Each
// repetition takes the latency of its longest route and the time until the last flow has sent what it has.
//
// Flows and links that look alike, from their bytes and rates through all that they share, get the same rate: refining colours
// finds those classes, and the filling is done on one of each. It is exact, as every link of a class carries as
// many flows of each class. A network without symmetry is filled link by link.
//
// The closed form is the same sum without links: what a rank sends over the rate at which it reaches its peers.
//
// # Units
//
// Bytes, bytes per second, picoseconds.
//
// # Sources
//
// Bertsekas and Gallager, Data Networks, section 6.5.2, for max-min fairness by progressive filling. Colour refinement of flows and
// links: Grohe, Kersting, Mladenov and Selman, Dimension reduction via colour refinement, ESA 2014. Collectives: Thakur,
// Rabenseifner and Gropp, IJHPCA 2005; Sanders, Speck and Träff, Two-tree algorithms, 2009; Kumar and Jouppi, arXiv 2011.03641, for
// several rings of a torus at once.
//
// # Not modelled
//
// Packets, and what congestion control leaves of a rate; adaptive routes: all paths of a fat tree between two leaves are one
// link.
package flow
