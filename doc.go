// Package diamond is a configuration centre as a library: applications keep
// their configuration in it, change it while running, and every running
// instance follows.
package diamond
