package localfile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/localfile"
)

// An operator overrides a key on this host by putting a file there.
func Example() {
	home, err := os.MkdirTemp("", "app")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(home)
	files, err := localfile.Open(filepath.Join(home, "config")) // and diamond.WithLocalFiles(files)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer files.Close()

	override := filepath.Join(home, "config", "overrides", "public", "DEFAULT_GROUP", "limits.yaml")
	long := time.Now().Add(-time.Minute) // a file that is being written is not read
	for _, err := range []error{
		os.MkdirAll(filepath.Dir(override), 0o700),
		os.WriteFile(override, []byte("rate: 10\n"), 0o600),
		os.Chtimes(override, long, long),
	} {
		if err != nil {
			fmt.Println(err)
		}
	}
	content, err := files.Override(diamond.NewKey("", "limits.yaml"))
	fmt.Printf("%q %v\n", content, err)
	// Output: "rate: 10\n" <nil>
}
