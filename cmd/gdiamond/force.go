package main

import (
	"context"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// forceFlag declares the flag of a command that can pass the guards of a namespace.
func forceFlag(cmd *cobra.Command, force *bool) {
	cmd.Flags().BoolVar(force, "force", false, "pass the guards of the namespace, such as a freeze; needs a right to do so, and --comment with the reason")
}

// checkForce refuses force without a reason.
func checkForce(force bool, comment string) error {
	if force && comment == "" {
		return usageError{conf.Errorf(diamond.ErrInvalid, "force: needs --comment with the reason")}
	}
	return nil
}

// Origins of changes, which histories show.
const (
	originCLI      = "cli"
	originImport   = "import"
	originRestore  = "restore"
	originApplying = "apply"
)

// signing is a transport whose commits say that they are from this program, if they do not
// say what of it they are from.
type signing struct{ diamond.Transport }

// Commit implements [diamond.Transport].
func (s signing) Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error) {
	if req.Set.Origin == "" {
		signed := *req
		signed.Set.Origin = originCLI
		req = &signed
	}
	return s.Transport.Commit(ctx, req)
}
