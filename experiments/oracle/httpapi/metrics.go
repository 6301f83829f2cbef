package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what GET /metrics tells Prometheus. Labels have few values: no name of a request becomes one.
type metrics struct {
	handler  http.Handler
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	refused  prometheus.Counter
}

// latencies are the bounds of the histogram in seconds: an estimate asked again takes microseconds, a batch or a long simulation seconds.
var latencies = []float64{1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "strata_http_requests_total", Help: "Requests answered, by endpoint and status."}, []string{"endpoint", "code"}),
		seconds:  prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "strata_http_request_seconds", Help: "Time from the headers of a request to the end of its answer.", Buckets: latencies}, []string{"endpoint"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "strata_http_in_flight", Help: "Requests that are not answered yet."}),
		refused:  prometheus.NewCounter(prometheus.CounterOpts{Name: "strata_http_connections_refused_total", Help: "Connections beyond the limit."}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	r := prometheus.NewRegistry()
	r.MustRegister(m.requests, m.seconds, m.inFlight, m.refused, &oracleStats{s},
		gauge("strata_http_connections", "Connections that are open.", func() float64 { return float64(s.open.Load()) }),
		gauge("strata_http_waiting", "Requests that wait for their turn.", func() float64 { return float64(s.waiting.Load()) }),
		gauge("strata_http_body_bytes", "Bytes of bodies that are held.", func() float64 { return float64(s.bodies.Load()) }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "strata_build_info", Help: "1; the labels say which program this is.", ConstLabels: prometheus.Labels{
		"version": s.o.Build.Version, "model_version": s.o.Build.ModelVersion, "protocol": s.o.Build.Protocol, "go": s.o.Build.Go}})
	build.Set(1)
	r.MustRegister(build)
	m.handler = promhttp.HandlerFor(r, promhttp.HandlerOpts{DisableCompression: true})
	return m
}

func (m *metrics) answered(endpoint string, status int, took time.Duration) {
	m.requests.WithLabelValues(endpoint, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(endpoint).Observe(took.Seconds())
}

func (s *Server) showMetrics(w http.ResponseWriter, r *http.Request, _ string) {
	s.metrics.handler.ServeHTTP(w, r)
}

// oracleStats reads all figures of the oracle at one time.
type oracleStats struct{ s *Server }

var (
	answersDesc  = prometheus.NewDesc("strata_answers_total", "Answers given, each request of a batch its own, by status.", []string{"status"}, nil)
	hitsDesc     = prometheus.NewDesc("strata_cache_hits_total", "Answers that were remembered.", nil, nil)
	missesDesc   = prometheus.NewDesc("strata_cache_misses_total", "Answers that memory did not have: found in the file of answers, or worked out.", nil, nil)
	foundDesc    = prometheus.NewDesc("strata_cache_found_total", "Of the misses, those that the file of answers had.", nil, nil)
	entriesDesc  = prometheus.NewDesc("strata_cache_entries", "Answers that are remembered.", nil, nil)
	bytesDesc    = prometheus.NewDesc("strata_cache_bytes", "About the memory that remembered answers take.", nil, nil)
	roomDesc     = prometheus.NewDesc("strata_cache_limit_bytes", "The memory that remembered answers may take.", nil, nil)
	machinesDesc = prometheus.NewDesc("strata_posted_archs", "Machines that were posted and are kept.", nil, nil)
	modelsDesc   = prometheus.NewDesc("strata_posted_models", "Models that were posted and are kept.", nil, nil)
)

func (c *oracleStats) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{answersDesc, hitsDesc, missesDesc, foundDesc, entriesDesc, bytesDesc, roomDesc, machinesDesc, modelsDesc} {
		to <- d
	}
}

func (c *oracleStats) Collect(to chan<- prometheus.Metric) {
	s := c.s.oracle.Stats()
	for status, n := range s.Answers {
		to <- prometheus.MustNewConstMetric(answersDesc, prometheus.CounterValue, float64(n), string(status))
	}
	to <- prometheus.MustNewConstMetric(hitsDesc, prometheus.CounterValue, float64(s.Hits))
	to <- prometheus.MustNewConstMetric(missesDesc, prometheus.CounterValue, float64(s.Misses))
	to <- prometheus.MustNewConstMetric(foundDesc, prometheus.CounterValue, float64(s.Found))
	to <- prometheus.MustNewConstMetric(entriesDesc, prometheus.GaugeValue, float64(s.Entries))
	to <- prometheus.MustNewConstMetric(bytesDesc, prometheus.GaugeValue, float64(s.Bytes))
	to <- prometheus.MustNewConstMetric(roomDesc, prometheus.GaugeValue, float64(s.Room))
	to <- prometheus.MustNewConstMetric(machinesDesc, prometheus.GaugeValue, float64(s.Machines))
	to <- prometheus.MustNewConstMetric(modelsDesc, prometheus.GaugeValue, float64(s.Models))
}
