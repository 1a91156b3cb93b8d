package conf

import "time"

// RightsStatus says how a server decides about rights, and what it has decided since it was
// made.
type RightsStatus struct {
	Mode string // one of the Mode constants, or "" while the server does not know it yet

	// Denied counts refused requests, and keys that polls were refused, by reason. WouldDeny
	// counts, in observe mode, what would have been refused. The reasons are the Denial
	// constants.
	Denied, WouldDeny map[string]uint64

	Proofs    uint64 // proofs of identity that were accepted
	Redecided uint64 // decisions about parked polls and watches that ended because rights had changed
	CatchUps  uint64 // requests that waited for the storage's head, as they would otherwise have been refused for what the server did not know

	// Quotas are those of namespaces, the fullest first, at most [MaxQuotaUses].
	Quotas []QuotaUse
	// Documents are the quotas of documents of tenants, the fullest first, at most
	// [MaxQuotaUses].
	Documents []DocumentUse
	// Secrets are those of tokens that will expire, the soonest first, one for each token, at
	// most [MaxSecretExpiries].
	Secrets []SecretExpiry
}

// MaxQuotaUses, for each kind of quotas, and MaxSecretExpiries bound the lists of a [RightsStatus].
const (
	MaxQuotaUses      = 500
	MaxSecretExpiries = 100
)

// QuotaUse is how much of one quota a namespace has used.
type QuotaUse struct {
	Namespace string
	Quota     string // what it limits: "keys" or "bytes"
	Used      int64
	Limit     int64 // above 0
}

// DocumentUse is how much of one quota of documents a tenant has used.
type DocumentUse struct {
	Tenant string
	Quota  string // what it limits: "documents" or "bytes"
	Used   int64
	Limit  int64 // above 0
}

// SecretExpiry is the time at which the first of a token's valid secrets expires.
type SecretExpiry struct {
	Token   string // its name, without "token:"
	Expires time.Time
}

// The reasons of denials, in [RightsStatus].
const (
	DenialRight        = "right"        // no grant permits it
	DenialUnregistered = "unregistered" // there is no such namespace
	DenialProof        = "proof"        // the proof of identity is unknown, malformed, withdrawn or suspended
	DenialProofRate    = "proof_rate"   // too many requests with an unknown proof of identity came from the address
	DenialExpired      = "expired"      // the proof of identity has expired
	DenialAddress      = "address"      // the token may not be used from the address of the request
	DenialFile         = "deny_file"    // the server's deny file names the principal
	DenialFrozen       = "frozen"       // the namespace is frozen
	DenialQuota        = "quota"        // the change would exceed a quota of the namespace
	DenialDocument     = "document"     // a document that is written breaks a rule
)

// Denials returns the reasons of denials.
func Denials() []string {
	return []string{
		DenialRight, DenialUnregistered, DenialProof, DenialProofRate, DenialExpired, DenialAddress,
		DenialFile, DenialFrozen, DenialQuota, DenialDocument,
	}
}
