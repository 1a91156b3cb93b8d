package httptransport

import (
	"io"
	"net/http"
	"strconv"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// report serves POST /v1/reports.
func (h *handler) report(w http.ResponseWriter, r *http.Request) httpserve.Outcome {
	req := &conf.ReportRequest{}
	var err error
	if req.Client, err = client(r); err == nil {
		err = query(r, func(name, _ string) error { return httpserve.UnknownParam(name) })
	}
	if err == nil {
		err = readReports(w, r, req)
	}
	if err == nil {
		_, err = h.srv.Report(httpserve.Caller(r), req)
	}
	if err != nil {
		return fail(w, err, 0)
	}
	httpserve.BeginAnswer(w, 0)
	w.Header()[hCacheControl] = valueNoStore
	w.WriteHeader(http.StatusNoContent)
	return httpserve.Outcome{Status: http.StatusNoContent}
}

func readReports(w http.ResponseWriter, r *http.Request, req *conf.ReportRequest) error {
	body, err := httpserve.OpenBody(w, r, maxReports)
	if err != nil {
		return err
	}
	return body.End(decodeReports(body, req, body.Hold))
}

// decodeReports decodes the body of reports as it arrives. It calls hold with the
// memory that each report takes.
func decodeReports(body io.Reader, req *conf.ReportRequest, hold func(bytes int64) error) error {
	in := newJSONReader(body, hold)
	return in.whole(func(name string) error {
		if name != "reports" {
			return in.skip() // of a newer client
		}
		return in.list(name, conf.MaxPollKeys, reportMemory, func() error {
			var one reportBody
			if err := in.value(name, &one); err != nil {
				return err
			}
			report, err := one.report()
			req.Reports = append(req.Reports, report)
			return err
		})
	})
}

func (b *reportBody) report() (report conf.Report, err error) {
	report = conf.Report{Revision: b.Revision, Applied: b.Applied, Reason: b.Reason}
	report.Key, err = conf.ParseKey(b.Key)
	switch {
	case err != nil:
	case b.Revision < 1:
		err = conf.Errorf(conf.ErrInvalid, "revision of a report: %s", strconv.FormatInt(b.Revision, 10))
	case b.Applied && b.Reason != "", !b.Applied && b.Reason != "error" && b.Reason != "panic":
		err = conf.Errorf(conf.ErrInvalid, `reason: is "error" or "panic" where applied is false, else left out`)
	}
	return report, err
}
