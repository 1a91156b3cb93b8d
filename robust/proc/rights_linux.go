package proc

import (
	"context"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/robust/rights"
	"github.com/linnaname/gdiamond/robust/traffic"
)

// servers returns the servers as guests try them.
func (w *World) servers() (servers []rights.Node) {
	for i, process := range w.Processes {
		over := w.DirectTo(process.Addr())
		servers = append(servers, rights.Node{
			Over: func(secret func() string) diamond.Transport { return w.DirectAs(i, secret) },
			Serving: func() (revision int64, life any, ok bool) {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				life = process.Life() // before: a process that is started now counts as restarted
				resp, err := over.Fetch(ctx, &conf.FetchRequest{Key: traffic.Key(0)})
				if err != nil || life == nil {
					return 0, nil, false
				}
				return resp.Position.Revision, life, true
			},
		})
	}
	return servers
}
