package httptransport_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

const one = "/v1/configs/public/DEFAULT_GROUP/app.yaml"

// errorOf returns the code and the message of an error answer.
func errorOf(t *testing.T, body string) (code, message string) {
	t.Helper()
	var e struct {
		Error struct {
			Code    string
			Message string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &e), body)
	return e.Error.Code, e.Error.Message
}

// What a person does with curl.
func TestNative_ByHand(t *testing.T) {
	c := protocoltest.New(t)
	w := c.Ask("PUT", one+"?comment=first%20try", "a: 1\n", "Diamond-Meta", "owner=me&tier=%C3%A9", "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, 200, w.Code, w.Body)
	assert.JSONEq(t, fmt.Sprintf(`{"revision":1,"position":%q,"replayed":false}`, w.Header().Get("Diamond-Position")), w.Body.String())

	w = c.Ask("GET", one, "")
	require.Equal(t, 200, w.Code)
	assert.Equal(t, "a: 1\n", w.Body.String())
	assert.Equal(t, "public/DEFAULT_GROUP/app.yaml", w.Header().Get("Diamond-Key"))
	assert.Equal(t, "1", w.Header().Get("Diamond-Revision"))
	assert.Equal(t, "yaml", w.Header().Get("Diamond-Type"))
	assert.Equal(t, "owner=me&tier=%C3%A9", w.Header().Get("Diamond-Meta"))
	assert.Equal(t, `"1-`+conf.MD5Hex("a: 1\n")+`"`, w.Header().Get("ETag"))
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	etag := w.Header().Get("ETag")

	w = c.Ask("HEAD", one, "")
	assert.Equal(t, 200, w.Code)
	assert.Empty(t, w.Body.String())
	assert.Equal(t, "5", w.Header().Get("Content-Length"))

	w = c.Ask("GET", one, "", "If-None-Match", etag)
	assert.Equal(t, 304, w.Code)
	assert.NotEmpty(t, w.Header().Get("Diamond-Position"))

	assert.Equal(t, 200, c.Ask("PUT", one+"?type=text", "a: 2", "If-Match", etag).Code)
	w = c.Ask("PUT", one, "a: 3", "If-Match", etag)
	assert.Equal(t, 409, w.Code)
	code, message := errorOf(t, w.Body.String())
	assert.Equal(t, "conflict", code)
	assert.Contains(t, message, "2")
	assert.NotEmpty(t, w.Header().Get("Diamond-Position"))
	other := `"2-` + conf.MD5Hex("of a history that was lost") + `"`
	for _, method := range []string{"PUT", "DELETE"} {
		w = c.Ask(method, one, map[string]string{"PUT": "a: 3"}[method], "If-Match", other)
		assert.Equal(t, 409, w.Code, "the revision is right, the content is another")
		assert.Contains(t, w.Body.String(), `"current":2`)
		assert.NotEmpty(t, w.Header().Get("Diamond-Position"))
	}
	assert.Equal(t, 409, c.Ask("PUT", one, "a: 3", "If-Match", `"2-wrongmd5"`).Code)
	assert.Equal(t, 409, c.Ask("PUT", one, "a: 3", "If-None-Match", "*").Code)
	assert.Equal(t, 409, c.Ask("PUT", one+"?ifRevision=0", "a: 3").Code)
	assert.Equal(t, 200, c.Ask("PUT", one+"?ifRevision=2", "a: 3").Code)

	assert.Equal(t, "a: 1\n", c.Ask("GET", one+"?revision=1", "").Body.String())
	w = c.Ask("GET", one+"?revision=99", "")
	assert.Equal(t, 404, w.Code)

	list := c.Ask("GET", "/v1/configs?group=DEFAULT_GROUP&prefix=app&limit=5", "").Body.String()
	assert.Contains(t, list, `"key":"public/DEFAULT_GROUP/app.yaml","revision":3`)
	assert.Equal(t, list, c.Ask("GET", "/v1/configs?namespace=*&prefix=app", "").Body.String(), "an asterisk need not be encoded")
	history := strings.Split(strings.TrimSpace(c.Ask("GET", "/v1/history/public/DEFAULT_GROUP/app.yaml", "").Body.String()), "\n")
	require.Len(t, history, 3)
	assert.Contains(t, history[2], `"comment":"first try"`)

	assert.Equal(t, 409, c.Ask("DELETE", one+"?ifRevision=1", "").Code)
	assert.Equal(t, 200, c.Ask("DELETE", one, "").Code)
	w = c.Ask("GET", one, "")
	assert.Equal(t, 404, w.Code)
	assert.Equal(t, "not_found", w.Header().Get("Diamond-Error"))
	assert.NotEmpty(t, w.Header().Get("Diamond-Position"))
	assert.Equal(t, 404, c.Ask("DELETE", one, "").Code)

	w = c.Ask("GET", "/v1/position", "")
	assert.Equal(t, 200, w.Code)
	assert.Contains(t, w.Body.String(), `"revision":4`)
	w = c.Ask("POST", "/v1/poll", `{"keys":["app.yaml"]}`, "Content-Type", "application/x-www-form-urlencoded")
	assert.Equal(t, 200, w.Code)
	assert.Equal(t, "0", w.Header().Get("Diamond-Count"))
}

func TestNative_ChangeSet(t *testing.T) {
	c := protocoltest.New(t)
	old := c.Publish(protocoltest.Key("old"), "x")
	body := `{"op":"publish","key":"a","length":5}` + "\na: 1\n\n" +
		`{"op":"publish","key":"team/g/b","type":"text","meta":{"m":"1"},"allowEmpty":true,"length":0}` + "\n\n" +
		fmt.Sprintf(`{"op":"delete","key":"public/DEFAULT_GROUP/old","ifRevision":%d}`, old.Revision) + "\n" +
		`{"op":"check","key":"freeze","revision":0}` + "\n"
	w := c.Ask("POST", "/v1/changesets?comment=all", body, "Idempotency-Key", "r1")
	require.Equal(t, 200, w.Code, w.Body)
	first := w.Header().Get("Diamond-Position")
	assert.Equal(t, "a: 1\n", c.Fetch(protocoltest.Key("a")).Entry.Content)
	assert.True(t, c.Fetch(conf.Key{Namespace: "team", Group: "g", DataID: "b"}).Found)
	assert.False(t, c.Fetch(protocoltest.Key("old")).Found)

	w = c.Ask("POST", "/v1/changesets?comment=all", body, "Idempotency-Key", "r1")
	require.Equal(t, 200, w.Code, w.Body)
	assert.Equal(t, "true", w.Header().Get("Diamond-Replayed"))
	assert.Equal(t, first, w.Header().Get("Diamond-Position"))

	for name, bad := range map[string]string{
		"empty":            "",
		"no newline after": `{"op":"publish","key":"a","length":1}` + "\nxx",
		"cut":              `{"op":"publish","key":"a","length":9}` + "\nx",
		"line cut":         `{"op":"delete","key":"a"}`,
		"no length":        `{"op":"publish","key":"a"}` + "\n",
		"negative":         `{"op":"publish","key":"a","length":-1}` + "\n",
		"unknown op":       `{"op":"steal","key":"a"}` + "\n",
		"unknown field":    `{"op":"delete","key":"a","force":true}` + "\n",
		"reset of none":    `{"op":"delete","key":"a","reset":true}` + "\n",
		"not for delete":   `{"op":"delete","key":"a","type":"text"}` + "\n",
		"check without":    `{"op":"check","key":"a"}` + "\n",
		"key twice":        `{"op":"delete","key":"a"}` + "\n" + `{"op":"check","key":"a","revision":1}` + "\n",
		"bad key":          `{"op":"delete","key":"a/b/c/d"}` + "\n",
		"not JSON":         "hello\n",
		"two values":       `{"op":"delete","key":"a"} {}` + "\n",
		"a long line":      `{"op":"delete","key":"` + strings.Repeat("a", 200<<10) + `"}` + "\n",
		"gzip":             "\x1f\x8b\x08\x00",
	} {
		w := c.Ask("POST", "/v1/changesets", bad)
		assert.Equal(t, 400, w.Code, "%s: %s", name, w.Body)
		code, message := errorOf(t, w.Body.String())
		assert.Equal(t, "invalid", code, name)
		assert.NotEmpty(t, message, name)
	}
}

// What a request does not say of a key stays, on every road; reset forgets it.
func TestNative_WhatIsNotSaidStays(t *testing.T) {
	c := protocoltest.New(t)
	is := func(typ, meta string) {
		t.Helper()
		w := c.Ask("GET", one, "")
		require.Equal(t, 200, w.Code)
		assert.Equal(t, typ, w.Header().Get("Diamond-Type"))
		assert.Equal(t, meta, w.Header().Get("Diamond-Meta"))
	}
	set := func(more string) {
		t.Helper()
		w := c.Ask("POST", "/v1/changesets", `{"op":"publish","key":"app.yaml"`+more+`,"length":1}`+"\nx\n")
		require.Equal(t, 200, w.Code, w.Body)
	}
	const form = "application/x-www-form-urlencoded"
	require.Equal(t, 200, c.Ask("PUT", one, "1").Code)
	is("yaml", "")
	require.Equal(t, 200, c.Ask("PUT", one+"?type=toml", "1", "Diamond-Meta", "owner=me").Code)
	for _, write := range []func(){
		func() { require.Equal(t, 200, c.Ask("PUT", one, "2").Code) },
		func() { set("") },
		func() {
			require.Equal(t, 200, c.Ask("POST", "/diamond-server/publishConfig", "dataId=app.yaml&content=3", "Content-Type", form).Code)
		},
	} {
		write()
		is("toml", "owner=me")
	}
	require.Equal(t, 200, c.Ask("PUT", one, "4", "Diamond-Meta", "owner=you").Code)
	is("toml", "owner=you")
	set(`,"type":"json"`)
	is("json", "owner=you")
	set(`,"reset":true,"meta":{"a":"b"}`)
	is("", "a=b")
	require.Equal(t, 200, c.Ask("PUT", one+"?reset=true&type=yaml", "5").Code)
	is("yaml", "")
	require.Equal(t, 200, c.Ask("PUT", one+"?reset=true", "6").Code)
	is("", "")
}

func TestNative_BadRequests(t *testing.T) {
	c := protocoltest.New(t)
	for _, r := range []struct{ method, target, body, names string }{
		{"GET", one + "?revison=1", "", "revison"},
		{"GET", one + "?revision=x", "", "revision"},
		{"GET", one + "?revision=-1", "", "revision"},
		{"GET", one + "?revision=1&revision=2", "", "revision"},
		{"GET", one + "?after=abc", "", "position"},
		{"GET", "/v1/configs?limit=x", "", "limit"},
		{"GET", "/v1/configs?contents=yes", "", "contents"},
		{"GET", "/v1/configs?after=a/b/c/d", "", "key"},
		{"GET", "/v1/configs?namespace=a%2Fb", "", "namespace"},
		{"GET", "/v1/changes?wait=soon", "", "wait"},
		{"GET", "/v1/changes?wait=-1s", "", "wait"},
		{"GET", "/v1/changes?filter=x", "", "filter"},
		{"GET", "/v1/position?x=1", "", "x"},
		{"PUT", one, "", "content"},
		{"PUT", one, " \n\t", "content"},
		{"PUT", one + "?type=a%20b", "x", "type"},
		{"PUT", one + "?comment=a%0Ab", "x", "comment"},
		{"DELETE", one, "body", "body"},
		{"PUT", one + "?reset=1", "x", "reset"},
		{"DELETE", one + "?allowEmpty=true", "", "allowEmpty"},
		{"DELETE", one + "?reset=true", "", "reset"},
		{"POST", "/v1/poll", `{}`, "keys"},
		{"POST", "/v1/poll", ``, "json"},
		{"POST", "/v1/poll", `[]`, "json"},
		{"POST", "/v1/poll", `{"keys":["a"],"keys":["b"]}`, "more than once"},
		{"POST", "/v1/poll", `{"keys":["a"],"extra":` + strings.Repeat("[", 17), "nested"},
		{"POST", "/v1/poll", `{"keys":["a"],"extra":"` + strings.Repeat("x", 32<<10) + `"}`, "8192"},
		{"POST", "/v1/poll", `{"keys":["a"]` + strings.Repeat(" ", 32<<10) + "}", "8192"},
		{"POST", "/v1/poll", `{"keys":[null]}`, "a part is empty"},
		{"POST", "/v1/poll", `{"keys":["a"]}{}`, "json"},
		{"POST", "/v1/poll", `{"keys":["a b"]}`, "dataId"},
		{"POST", "/v1/poll", `{"set":"zz"}`, "set"},
		{"POST", "/v1/poll", `{"keys":["a"],"held":[{"key":"a","revision":-2}]}`, "held"},
		{"POST", "/v1/poll", `{"keys":["a"],"held":[{"key":"a","revision":1,"md5":"X"}]}`, "md5"},
		{"POST", "/v1/poll", `{"keys":["a"],"held":[{"key":"b","revision":1}]}`, "held"},
		{"POST", "/v1/poll", `{"keys":["a"],"wait":30}`, "wait"},
		{"POST", "/v1/poll?keys=a", `{"keys":["a"]}`, "keys"},
		{"POST", "/v1/poll", `[]`, "json: the value is an array, not an object"},
		{"POST", "/v1/poll", `{"keys":"a"}`, "json: field keys is a string, not an array"},
		{"POST", "/v1/poll", `{"keys":[{"a":1}]}`, "is an object, not a string"},
		{"POST", "/v1/poll", `{"keys":["a"],"wait":7.5}`, "json: field wait is a number, not a string"},
		{"POST", "/v1/poll", `{"keys":["a"],"held":[{"key":"a","revision":1.5}]}`, "is a number, not a whole number"},
		{"POST", "/v1/reports", `{"reports":[{"key":"a","revision":1,"applied":"yes"}]}`, "is a string, not true or false"},
		{"POST", "/v1/reports", `{"reports":[{"key":"a","revision":0,"applied":true}]}`, "revision"},
		{"POST", "/v1/reports", `{"reports":[{"key":"a","revision":1,"applied":true,"reason":"error"}]}`, "reason"},
		{"POST", "/v1/reports", `{"reports":[{"key":"a","revision":1,"applied":true}]}`, "client id"},
	} {
		w := c.Ask(r.method, r.target, r.body)
		assert.Equal(t, 400, w.Code, "%s %s %s", r.method, r.target, r.body)
		code, message := errorOf(t, w.Body.String())
		assert.Equal(t, "invalid", code)
		assert.Contains(t, message, r.names, "%s %s %s", r.method, r.target, r.body)
		assert.Equal(t, "invalid", w.Header().Get("Diamond-Error"))
	}
	for name, headers := range map[string][]string{
		"both":       {"If-Match", `"1-x"`, "If-None-Match", "*"},
		"tag list":   {"If-Match", `"1-x", "2-y"`, "If-None-Match", `"1-x"`},
		"any":        {"If-Match", "*"},
		"nonsense":   {"If-Match", "seven"},
		"two tags":   {"If-Match", `"1-x", "2-y"`},
		"not match":  {"If-None-Match", `"1-x"`},
		"meta twice": {"Diamond-Meta", "a=1&a=2"},
		"meta bytes": {"Diamond-Meta", "a=%zz"},
		"compressed": {"Content-Encoding", "gzip"},
		"request id": {"Idempotency-Key", "a b"},
		"client":     {"Diamond-Client", "id=a&id=b"},
	} {
		assert.Equal(t, 400, c.Ask("PUT", one, "x", headers...).Code, name)
	}
	_, message := errorOf(t, c.Ask("PUT", one, "x", "If-Match", "*").Body.String())
	assert.Contains(t, message, "if-match: * is not taken")
	assert.Equal(t, 400, c.Ask("PUT", one+"?ifRevision=1", "x", "If-Match", `"1-x"`).Code)
	assert.Zero(t, c.Srv.Status().Keys, "nothing was done")
}

// S17: every content on every native road, beginning with a plain PUT.
func TestS17_ByteExactness(t *testing.T) {
	c := protocoltest.New(t)
	for name, content := range protocoltest.OddContents() {
		w := c.Ask("PUT", one+"?allowEmpty=true", content)
		require.Equal(t, 200, w.Code, "%s: %s", name, w.Body)
		assert.True(t, c.Ask("GET", one, "").Body.String() == content, name)
	}
}

// X2: whatever spelling of a path is sent, the answer is for the key that it
// spells, or it is refused. It is never another key's.
func TestX2_Spellings(t *testing.T) {
	c := protocoltest.New(t)
	c.Publish(protocoltest.Key("key"), "right")
	for _, other := range []string{"KEY", "Key", "key.", "a", "b", "c", "2fkey", "key:x"} {
		c.Publish(protocoltest.Key(other), "wrong")
	}
	c.Publish(conf.Key{Namespace: "public", Group: "key", DataID: "key"}, "wrong")
	addr := c.Listen()
	const base = "/v1/configs/public/DEFAULT_GROUP/"
	canonical := map[string]bool{
		base + "key": true, base + "%6bey": true, base + "%6Bey": true, base + "k%65y": true, "/v1/configs/%70ublic/DEFAULT_GROUP/key": true,
		"/v1/configs/public/DEFAULT%5FGROUP/key": true, "http://127.0.0.1" + base + "key": true, base + "key?": true,
		"/%76%31/configs/public/DEFAULT_GROUP/key": false, "/v1/%63onfigs/public/DEFAULT_GROUP/key": false,
	}
	spellings := []string{
		base + "kEY", base + "keY", base + "key%20", base + "key+", base + "key%2B", base + "key.%2e", base + "key/", base + "/key", base + "//key",
		base + "./key", base + "../DEFAULT_GROUP/key", base + "%2e/key", base + "%2e%2e/key", base + "x/../key", base + "%2E%2E%2Fkey",
		base + "%252e%252e%252fkey", base + "%2fkey", base + "key%2f", base + "key%2F..", base + "%252fkey", base + "key;x=1", base + "key%3Bx=1",
		base + "key%00", base + "%00key", base + "key%09", base + "key%0a", base + "key%0d%0a", base + "k%c3%a9y", base + "k\xc3\xa9y", base + "%ef%bd%8bey",
		base + "%c0%ab", base + "%e0%80%abey", base + "key%", base + "key%2", base + "key%zz", base + "key%u0065", base + "ke%79%20%20", base + "%20key",
		base + "key#frag", base + "key%23", base + "key%3Fx", base + "key\\", base + "..%5ckey", base + "\\..\\key", base + "key~", base + "*", base + "%2A", base,
		"/v1/configs/public//key", "/v1/configs//DEFAULT_GROUP/key", "/v1/configs///key", "/v1//configs/public/DEFAULT_GROUP/key", "//v1/configs/public/DEFAULT_GROUP/key",
		"/v1/configs/public/DEFAULT_GROUP%2Fkey", "/v1/configs/public%2FDEFAULT_GROUP%2Fkey", "/v1/configs/key", "/v1/configs/DEFAULT_GROUP/key", "/V1/configs/public/DEFAULT_GROUP/key",
		"/v1/Configs/public/DEFAULT_GROUP/key", "/v1/configs/public/default_group/key", "/v1/configs/Public/DEFAULT_GROUP/key", "/v1/configs/./DEFAULT_GROUP/key", "/./v1/configs/public/DEFAULT_GROUP/key",
		"/v1/../v1/configs/public/DEFAULT_GROUP/key", "/v1/configs/public/DEFAULT_GROUP/key/.", "/v1/configs/public/DEFAULT_GROUP/key/..", "/v1/configs/public/./DEFAULT_GROUP/key", "/v1/configs/public/DEFAULT_GROUP/key%2e%2e%2f",
	}
	for target, found := range canonical {
		if found {
			spellings = append(spellings, target)
		}
	}
	for _, target := range spellings {
		res, body := protocoltest.Exchange(t, addr, "GET "+target+" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
		switch {
		case canonical[target]:
			assert.Equal(t, 200, res.StatusCode, "%q", target)
			assert.Equal(t, "right", body, "%q", target)
		default:
			assert.Contains(t, []int{400, 404}, res.StatusCode, "%q", target)
		}
		assert.NotContains(t, body, "wrong", "%q", target)
	}
	require.GreaterOrEqual(t, len(spellings), 60)

	// Writes are decided too, not redirected; those that are done are of keys that differ in case.
	for _, target := range spellings {
		if _, err := url.ParseRequestURI(target); canonical[target] || err != nil {
			continue
		}
		for method, body := range map[string]string{"PUT": "x", "DELETE": ""} {
			res, _ := protocoltest.Exchange(t, addr, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", method, target, len(body), body))
			assert.Contains(t, []int{200, 400, 404}, res.StatusCode, "%s %q", method, target)
		}
	}
	assert.Equal(t, "right", c.Fetch(protocoltest.Key("key")).Entry.Content)
}
