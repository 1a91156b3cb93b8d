package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/internal/memnet"
)

// canary is a secret, and the texts by which it would be recognised.
type canary struct {
	name   string
	secret string
	traces []string // in any of which more than 6 of its characters or bytes are told
}

// newCanary returns a canary. Its traces are the parts of 7 bytes of its text, of its
// hexadecimal form, and of its base64 at each of the places at which it may begin.
func newCanary(name, secret string) *canary {
	c := &canary{name: name, secret: secret}
	text := strings.TrimPrefix(secret, govern.SecretPrefix)
	for i := 0; i+7 <= len(text); i++ {
		part := text[i : i+7]
		c.traces = append(c.traces, part, hex.EncodeToString([]byte(part)), strings.ToUpper(hex.EncodeToString([]byte(part))))
	}
	for before := range 3 {
		raw := append(bytes.Repeat([]byte{'x'}, before), text...)
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			form := encoding.EncodeToString(raw)
			for i := 4; i+12 <= len(form)-4; i++ { // 12 characters are 8 or 9 bytes; the ends depend on what is beside them
				c.traces = append(c.traces, form[i:i+12])
			}
		}
	}
	return c
}

// in returns a trace of the canary that stands in a text, or "".
func (c *canary) in(text string) string {
	for _, trace := range c.traces {
		if strings.Contains(text, trace) {
			return trace
		}
	}
	return ""
}

// faulty is a Centre that has a fault: it panics over one key.
type faulty struct{ *govern.Centre }

func (f *faulty) Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	if req.Key.DataID == "fault" {
		panic("a fault for " + conf.CallerFrom(ctx).Principal.Name)
	}
	return f.Centre.Fetch(ctx, req)
}

// withSecret returns requests that carry a secret in each place where somebody may put one.
func withSecret(secret string) (all []wire) {
	basic := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(secret))
	headers := [][]string{
		nil,
		{"Authorization", "Bearer " + secret}, {"Authorization", "bearer  " + secret + " "}, {"Authorization", "Bearer " + secret + "!"},
		{"Authorization", "Bearer " + secret[:len(secret)-1]}, {"Authorization", "Bearer " + secret + ", " + secret}, {"Authorization", "Bearer " + encoded},
		{"Authorization", secret}, {"Authorization", "Token " + secret}, {"Authorization", secret + " " + secret}, {"Authorization", "Digest username=" + secret},
		{"Authorization", "Bearer x", "Authorization", "Bearer " + secret},
		{"Authorization", basic("", secret)}, {"Authorization", basic("token:a.reader", secret)}, {"Authorization", basic(secret, "x")},
		{"Authorization", basic(secret, secret)}, {"Authorization", "Basic " + secret}, {"Authorization", "Basic " + encoded},
		{"Proxy-Authorization", "Bearer " + secret}, {"X-Api-Key", secret}, {"X-Token", secret}, {"Cookie", "token=" + secret},
		{"Accesstoken", secret}, {"Diamond-Client", "id=" + secret}, {"Diamond-Client", secret}, {"Diamond-Seen", secret}, {"Idempotency-Key", secret},
		{"X-Forwarded-For", secret}, {"Referer", "http://x/?token=" + secret}, {"User-Agent", secret}, {"Origin", "http://" + secret},
		{"Content-Type", secret}, {"X-" + secret, "x"},
	}
	for _, h := range headers {
		for _, target := range []string{"/v1/configs/a.daily/g/k", "/v1/whoami", "/v1/position", "/metrics", "/readyz?verbose", "/none", "/diamond-server/config?dataId=k&group=g", "/v1/can?verb=read&scope=all&as=user:x"} {
			all = append(all, wire{"GET", target, h, ""})
		}
		all = append(all,
			wire{"PUT", "/v1/configs/a.daily/g/w", h, "x"}, wire{"POST", "/v1/poll", h, `{"keys":["a.daily/g/k"]}`},
			wire{"POST", "/v1/peer/nudge", h, "{}"}, wire{"POST", "/v1/changesets", h, "{"})
	}
	for _, target := range []string{
		"/v1/configs/a.daily/g/SECRET", "/v1/configs/SECRET/g/k", "/v1/configs/a.daily/SECRET/k", "/v1/history/a.daily/g/SECRET", "/v1/configs/_govern/token/SECRET",
		"/v1/configs/a.daily/g/k?token=SECRET", "/v1/configs/a.daily/g/k?revision=SECRET", "/v1/configs/a.daily/g/k?SECRET=1",
		"/v1/configs?namespace=SECRET", "/v1/configs?namespace=a.daily&prefix=SECRET", "/v1/changes?after=SECRET",
		"/v1/can?verb=SECRET&scope=all", "/v1/can?verb=read&scope=SECRET", "/v1/can?verb=read&scope=all&as=token:SECRET",
		"/SECRET", "/v1/SECRET?x", "/metrics?SECRET", "/diamond-server/config?dataId=SECRET&group=g", "/diamond-server/config?tenant=SECRET",
	} {
		target = strings.ReplaceAll(target, "SECRET", secret)
		all = append(all, wire{"GET", target, nil, ""}, wire{"DELETE", target, nil, ""}, wire{secret, target, nil, ""})
	}
	for _, body := range []string{
		`SECRET`, `{"keys":["SECRET"]}`, `{"keys":["a.daily/g/SECRET"]}`, `{"SECRET":1}`, `{"set":"SECRET"}`, `{"position":"SECRET"}`, `{"wait":"SECRET"}`, `{"token":"SECRET"`,
		`{"op":"SECRET"}` + "\n", `{"op":"publish","key":"a.daily/g/k","length":1,"author":"SECRET"}` + "\nx\n", "dataId=SECRET&group=g&content=SECRET",
		"Probe-Modify-Request=SECRET", `{"reports":[{"key":"SECRET","revision":1}]}`,
	} {
		body = strings.ReplaceAll(body, "SECRET", secret)
		for _, target := range []string{"/v1/poll", "/v1/changesets", "/v1/reports", "/diamond-server/publishConfig", "/diamond-server/getProbeModify"} {
			all = append(all, wire{"POST", target, nil, body}, wire{"POST", target, form, body})
		}
		all = append(all, wire{"PUT", "/v1/configs/a.daily/g/k", nil, body}, wire{"PUT", "/v1/configs/_govern/token/a.x", nil, body})
	}
	return all
}

// TestINV12_SecretsOfAGovernedNode asks a node in every way with secrets in each place where
// somebody may put them, also over a handler that panics. The log at its lowest level, the
// metrics, the documents and the answers have none of them.
func TestINV12_SecretsOfAGovernedNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets := map[string]*canary{}
		for _, name := range []string{"a.reader", "a.admin", "root", "a.expired", "a.retired", "unknown"} {
			secrets[name] = newCanary("the token "+name, govern.NewTokenSecret())
		}
		token := func(name string) *govern.Token {
			return &govern.Token{Name: name, Generation: 1, Secrets: []govern.Secret{{SHA256: govern.HashTokenSecret(secrets[name].secret)}}}
		}
		expired, retired := token("a.expired"), token("a.retired")
		expired.Secrets[0].Expires = time.Now()
		retired.Retired = true
		n := newGovernedNode(t, append(tenantOf("a"), tenantOf("b")...)...)
		key := make([]byte, 32)
		_, _ = rand.Read(key) // it never fails
		sealing, peering := newCanary("the store's key", string(key)), newCanary("the cluster's secret", govern.NewTokenSecret())
		content := newCanary("a content", rand.Text())
		n.commit(setOf(t, token("a.reader"), token("a.admin"), token("root"), expired, retired, &govern.StoreSecret{Positions: key}))
		peers, err := cluster.NewSecret(peering.secret)
		require.NoError(t, err)
		value := conf.Draft{Key: conf.Key{Namespace: "a.daily", Group: "g", DataID: "k"}, Content: content.secret}
		n.commit(conf.ChangeSet{Drafts: []conf.Draft{value}})
		time.Sleep(time.Minute)

		listener := memnet.Listen()
		logger := n.config.logger
		node := NewNode(&faulty{n.centre}, WithLogger(logger), WithPeers(nobody{}, peers), WithListener(listener),
			WithHandler("/extra", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a fault of an extra handler") })))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- node.Run(ctx) }()
		defer func() {
			stop()
			require.NoError(t, <-ended)
		}()
		// send returns the answer of the node as it is on the wire.
		send := func(q wire, proof string) string {
			conn, err := listener.DialContext(ctx, "", "")
			require.NoError(t, err)
			defer conn.Close()
			var b strings.Builder
			fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: %d\r\n", q.method, q.target, len(q.body))
			if proof != "" {
				fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", proof)
			}
			for i := 0; i < len(q.headers); i += 2 {
				fmt.Fprintf(&b, "%s: %s\r\n", q.headers[i], q.headers[i+1])
			}
			b.WriteString("\r\n" + q.body)
			go func() { _, _ = io.WriteString(conn, b.String()) }()
			answer, _ := io.ReadAll(bufio.NewReader(conn)) // a handler that panics ends the connection
			return string(answer)
		}
		all := []*canary{sealing, peering, content}
		for _, c := range secrets {
			all = append(all, c)
		}
		// none checks that a text tells nothing of a secret, but for those that are visible.
		none := func(text, where string, visible ...*canary) {
			t.Helper()
			for _, c := range all {
				if trace := c.in(text); trace != "" {
					require.Contains(t, visible, c, "%s is told, by %q, in %s:\n%s", c.name, trace, where, text)
				}
			}
		}
		seen := 0
		logged := func(where string) {
			t.Helper()
			text := n.log.String()
			none(text[seen:], "the log of "+where)
			seen = len(text)
		}
		for _, c := range secrets {
			for _, q := range withSecret(c.secret) {
				where := fmt.Sprintf("%s %s %v %s", q.method, q.target, q.headers, q.body)
				answer := send(q, "")
				var visible []*canary
				if slices.Contains(q.headers, "Authorization") {
					visible = append(visible, content) // to whom it is granted
				}
				if strings.Contains(q.method+q.target+q.body, c.secret) {
					visible = append(visible, c) // an error may name what its caller has named
				}
				none(answer, where, visible...)
				logged(where)
			}
		}
		for _, target := range []string{"/v1/configs/a.daily/g/fault", "/extra"} {
			assert.Empty(t, send(wire{"GET", target, nil, ""}, secrets["root"].secret))
			assert.Contains(t, n.log.String()[seen:], "panic", "the log has it")
			logged("a panic")
		}
		assert.Contains(t, send(wire{"GET", "/v1/configs/a.daily/g/k", nil, ""}, secrets["a.reader"].secret), content.secret, "others are served")

		// What the node and the store tell about themselves, to whoever may know the most.
		for _, who := range []string{"", secrets["unknown"].secret, secrets["a.reader"].secret, secrets["a.admin"].secret, secrets["root"].secret} {
			for _, target := range []string{"/metrics", "/readyz?verbose", "/v1/whoami", "/v1/position", "/version"} {
				none(send(wire{"GET", target, nil, ""}, who), target)
			}
			for _, target := range []string{
				"/v1/configs?namespace=_govern&contents=true", "/v1/changes?namespace=_govern&contents=true&wait=0s", "/v1/configs?namespace=*&contents=true", "/v1/changes?namespace=*&contents=true&wait=0s",
				"/v1/configs/_govern/centre/secret", "/v1/history/_govern/centre/secret", "/v1/configs/_govern/token/root", "/v1/configs/_govern/token/a.reader", "/v1/configs/_govern/centre/marker", "/v1/history/_govern/token/a.admin",
			} {
				var visible []*canary
				if strings.Contains(target, "*") {
					visible = append(visible, content) // to whom it is granted
				}
				none(send(wire{"GET", target, nil, ""}, who), target, visible...)
			}
		}
		logged("pages and documents")
	})
}
