package namesrv

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// A name server has started anew, and an answer of its life before is late: the
// list that was asked for later counts, whatever the versions are.
func TestLateListOfAnotherLifeIsIgnored(t *testing.T) {
	var s source
	s.take(servers{instance: "before", version: 7, addrs: []string{"old:1"}}, 1)
	s.take(servers{instance: "now", version: 1, addrs: []string{"new:1"}}, 3)
	s.take(servers{instance: "before", version: 8, addrs: []string{"old:1"}}, 2)
	assert.Equal(t, []string{"new:1"}, s.servers)
	s.take(servers{instance: "now", version: 2, addrs: []string{"newer:1"}}, 2)
	assert.Equal(t, []string{"newer:1"}, s.servers, "of one life the version counts")
	s.take(servers{instance: "now", version: 1, addrs: []string{"new:1"}}, 4)
	assert.Equal(t, []string{"newer:1"}, s.servers)
}
