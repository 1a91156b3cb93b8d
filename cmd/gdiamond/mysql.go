package main

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/internal/privatefile"
	"github.com/linnaname/gdiamond/storage/mysqlstore"
)

// maxPassword limits a password file: a longer one is some other file.
const maxPassword = 1 << 10

// database has the flags for a MySQL-compatible database.
type database struct{ dsn, passwordFile string }

func (d *database) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&d.dsn, "mysql", "", "`DSN` of a MySQL-compatible database: user:password@tcp(host:port)/database")
	f.StringVar(&d.passwordFile, "mysql-password-file", "", "`FILE` with the password, for a DSN without one")
	secret(f, "mysql")
}

// given reports whether a database is given.
func (d *database) given() bool { return d.dsn != "" }

// full returns the DSN with its password. Its errors quote neither.
func (d *database) full() (string, error) {
	if d.dsn == "" {
		return "", usageError{errors.New("mysql: give the DSN of the database: user:password@tcp(host:port)/database")}
	}
	cfg, err := parseDSN("mysql", d.dsn)
	if err != nil {
		return "", err
	}
	if d.passwordFile == "" {
		return d.dsn, nil
	}
	if cfg.Passwd != "" {
		return "", usageError{errors.New("mysql-password-file: the DSN already has a password; give one of them")}
	}
	if cfg.Passwd, err = readPassword(d.passwordFile); err != nil {
		return "", err
	}
	return cfg.FormatDSN(), nil
}

// parseDSN parses the DSN of a flag. Its errors do not quote it.
func parseDSN(flag, dsn string) (*mysql.Config, error) {
	const form = "it has the form user:password@tcp(host:port)/database"
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: the DSN is invalid; %s", flag, form)}
	}
	if cfg.DBName == "" {
		return nil, usageError{fmt.Errorf("%s: the DSN names no database; %s", flag, form)}
	}
	return cfg, nil
}

func readPassword(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("mysql-password-file: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err == nil {
		err = privatefile.Check(info)
	}
	if err != nil {
		return "", fmt.Errorf("mysql-password-file: %s: %w", path, err)
	}
	content, err := io.ReadAll(io.LimitReader(file, maxPassword+1))
	switch password := strings.TrimRight(string(content), "\r\n"); {
	case err != nil:
		return "", fmt.Errorf("mysql-password-file: %w", err)
	case password == "" || len(content) > maxPassword:
		return "", fmt.Errorf("mysql-password-file: %s is empty or longer than %d bytes", path, maxPassword)
	default:
		return password, nil
	}
}

// connect returns connections to the database.
func (d *database) connect(logger *slog.Logger) (*sql.DB, error) {
	dsn, err := d.full()
	if err != nil {
		return nil, err
	}
	return mysqlstore.OpenDB(dsn, logger)
}
