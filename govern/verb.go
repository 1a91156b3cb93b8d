package govern

import (
	"math/bits"
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

// Verb is something that a right permits.
type Verb uint8

// The verbs. [VerbWrite], [VerbRelease] and [VerbAdminister] include [VerbRead], which
// includes [VerbList]. [VerbForce] includes no other, and is worth something only together
// with [VerbRelease].
const (
	VerbList       Verb = 1 << iota // to learn that a key exists
	VerbRead                        // to read values and history, to follow and to report
	VerbWrite                       // to make drafts and proposals
	VerbRelease                     // to publish, delete and restore
	VerbAdminister                  // to change settings and rights within the scope
	VerbForce                       // to pass a guard, with a reason
)

// allVerbs are the names of the verbs, the weakest first.
var allVerbs = []struct {
	verb Verb
	name string
}{
	{VerbList, "list"}, {VerbRead, "read"}, {VerbWrite, "write"},
	{VerbRelease, "release"}, {VerbAdminister, "administer"}, {VerbForce, "force"},
}

// Verbs returns the names of all verbs, the weakest first.
func Verbs() []string {
	names := make([]string, len(allVerbs))
	for i, v := range allVerbs {
		names[i] = v.name
	}
	return names
}

// ParseVerb reads the name of a verb. Errors wrap [conf.ErrInvalid].
func ParseVerb(s string) (Verb, error) {
	for _, v := range allVerbs {
		if v.name == s {
			return v.verb, nil
		}
	}
	return 0, conf.Invalidf("verb: %s is none of %s", conf.Clip(s), strings.Join(Verbs(), ", "))
}

// String returns the name of v, or "unknown" if it is not one verb.
func (v Verb) String() string {
	if bits.OnesCount8(uint8(v)) == 1 && bits.TrailingZeros8(uint8(v)) < len(allVerbs) {
		return allVerbs[bits.TrailingZeros8(uint8(v))].name
	}
	return "unknown"
}

// verbSet is a set of verbs with all that they include.
type verbSet uint8

// everyVerb is the set of all verbs.
const everyVerb = verbSet(VerbList | VerbRead | VerbWrite | VerbRelease | VerbAdminister | VerbForce)

// with returns s with v and all that v includes.
func (s verbSet) with(v Verb) verbSet {
	if v&(VerbWrite|VerbRelease|VerbAdminister) != 0 {
		v |= VerbRead
	}
	if v&VerbRead != 0 {
		v |= VerbList
	}
	return s | verbSet(v)
}

// has reports whether v is in s. No set has the zero Verb.
func (s verbSet) has(v Verb) bool { return v != 0 && s&verbSet(v) == verbSet(v) }
