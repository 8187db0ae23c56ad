// The Lua that Argo CD evaluates health checks with, for the scenario of e2e/tests/operator/argocd.rs: pinned as a tool of a
// module that has no Go code. `go tool glua FILE` builds it and keeps it in Go's cache.
module placet.dev/controlplane/lua

go 1.26.0

tool github.com/yuin/gopher-lua/cmd/glua

require (
	github.com/chzyer/readline v0.0.0-20180603132655-2972be24d48e // indirect
	github.com/yuin/gopher-lua v1.1.2 // indirect
	golang.org/x/sys v0.0.0-20190204203706-41f3e6584952 // indirect
)
