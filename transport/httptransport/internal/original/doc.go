// Package original serves the protocol of the original diamond. It accepts and answers
// requests as the original clients expect, but without the faults of the original server.
// Keys are in the default namespace.
package original
