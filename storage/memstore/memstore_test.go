package memstore

import (
	"testing"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/storagetest"
)

func TestStorage(t *testing.T) {
	storagetest.Run(t,
		func(*testing.T) diamond.Storage { return New() },
		storagetest.Replica(func(*testing.T) storagetest.Copy { return New() }),
		storagetest.Retention(func(_ *testing.T, r storage.Retention) storagetest.Pruned {
			return New(WithRetention(r))
		}),
	)
}
