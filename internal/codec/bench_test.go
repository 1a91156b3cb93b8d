package codec

import (
	"fmt"
	"strings"
	"testing"
)

// manyKeys returns a document of one mapping with n keys.
func manyKeys(format string, n int) []byte {
	pair := map[string]string{"json": "\"key%06d\": %d,\n", "yaml": "key%06d: %d\n", "toml": "key%06d = %d\n", "properties": "key%06d=%d\n"}[format]
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, pair, i, i)
	}
	if format == "json" {
		return []byte("{" + strings.TrimSuffix(b.String(), ",\n") + "}")
	}
	return []byte(b.String())
}

func BenchmarkDecode_400000KeysIntoAny(b *testing.B) {
	for _, format := range []string{"json", "yaml", "toml", "properties"} {
		b.Run(format, func(b *testing.B) {
			data := manyKeys(format, 400_000)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				var into map[string]any
				if err := Decode(format, data, &into, false); err != nil || len(into) != 400_000 {
					b.Fatal(err, len(into))
				}
			}
		})
	}
}
