# The only commands a newcomer needs. Everything else is under `cargo`, `helm` and `kubectl`.
CLUSTER := target/debug/placet-cluster

.PHONY: demo test faults lint crds bench image cluster cluster-down

demo: ## A model is refused, reviewed and released on a real control plane, in your terminal
	@.ci/steps build
	@target/debug/placet-demo

test: ## Everything that CI runs
	@.ci/steps test

faults: ## Only those of the tests that break an installation: kills, outages, lost volumes, uninstalls
	@.ci/steps faults

lint: ## Format, clippy, cargo-deny, charts
	@.ci/steps lint

crds: ## Write crds/, the placet-crds chart and the chart's copies of the policy packs
	cargo run -q -p placet-api --example crds -- .

bench: ## Ratios against same-run baselines, as a table and as target/bench.json
	@.ci/steps bench

image: ## A small image as an OCI archive, without a container engine: target/placet-image.tar
	@.ci/steps image

cluster: ## A real Kubernetes control plane on this machine; prints a kubeconfig and how to stop
	@.ci/steps build
	@$(CLUSTER) up --detach

cluster-down: ## Stop it
	@$(CLUSTER) down
