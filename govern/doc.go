// Package govern decides who may do what at a centre that several teams share.
//
// What it decides by is stored as documents: entries of the system namespace
// [SystemNamespace], each a JSON object with a format number. [ParseDocument] reads one and
// [Encode] writes one. A right is a [Verb] on a [Scope]. A [Role] is a set of verbs, and
// [Grants] give roles on one scope to subjects: users, tokens, teams, certificates, and
// callers without a proof of identity. What nothing grants is denied.
//
// A program keeps the fields of a document that it does not know, and refuses a document of
// a later [Format], because it cannot know what such a document takes away.
package govern
