// Command promcheck has promtool check what deploy/ gives Prometheus and Grafana:
// the configuration, what each alert does, and the dashboard's queries. It runs in
// the root of the tree. If there is no promtool, it installs Debian's prometheus
// when it runs as root, and otherwise says what to do.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/linnaname/gdiamond/internal/dev/debian"
)

// errMissing says what to do. .ci/run looks for its first words, and does not fail
// on a machine without promtool.
var errMissing = errors.New("promtool is missing: install Debian's prometheus, or have promtool of a release of Prometheus on the PATH")

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if err := provide(); err != nil {
		return err
	}
	dashboard, err := os.ReadFile("deploy/grafana/dashboard.json")
	if err != nil {
		return err
	}
	rules, err := rulesOf(dashboard)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "promcheck")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	queries := filepath.Join(dir, "dashboard.json")
	if err := os.WriteFile(queries, rules, 0o600); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"check", "config", "deploy/prometheus/prometheus.yml"},
		{"check", "rules", queries},
		{"test", "rules", "deploy/prometheus/alerts_test.yml"},
	} {
		cmd := exec.Command("promtool", args...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("promtool %s %s: %w", args[0], args[1], err)
		}
	}
	return nil
}

// provide sees to it that there is a promtool on this machine.
func provide() error {
	if _, err := exec.LookPath("promtool"); err == nil {
		return nil
	}
	if !debian.MayInstall() {
		return errMissing
	}
	fmt.Fprintln(os.Stderr, "installing prometheus, whose promtool checks the alerts")
	if err := debian.Install("prometheus"); err != nil {
		return fmt.Errorf("%w\n%w", err, errMissing)
	}
	if _, err := exec.LookPath("promtool"); err != nil {
		return errMissing
	}
	return nil
}

// rulesOf returns a file of rules with the dashboard's queries, for promtool
// reads no dashboards.
func rulesOf(dashboard []byte) ([]byte, error) {
	var board struct {
		Panels []struct {
			ID      int
			Targets []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal(dashboard, &board); err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	type group struct {
		Name  string `json:"name"`
		Rules []rule `json:"rules"`
	}
	queries := group{Name: "dashboard"}
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			queries.Rules = append(queries.Rules, rule{fmt.Sprintf("panel:%d:%s", panel.ID, target.RefID), target.Expr})
		}
	}
	return json.Marshal(map[string][]group{"groups": {queries}}) // YAML too
}
