//go:build tools

// Package tools keeps the version of h2spec, and of what it is built from, in go.mod.
package tools

import _ "github.com/summerwind/h2spec/cmd/h2spec"
