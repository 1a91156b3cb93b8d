package document

import (
	"errors"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// The errors for a text that is not the requested number. None quotes the text.
var (
	errNotNumber   = errors.New("it is not a number")
	errNotInteger  = errors.New("it is not a whole number")
	errRange       = errors.New("it is out of range")
	errZero        = errors.New("a number must not begin with 0: write 0o for octal, or put it in quotes if it is not a number")
	errNotFinite   = errors.New("it is not a finite number")
	errNotItself   = errors.New("a float cannot hold it exactly: it has too many digits")
	floatGrammar   = regexp.MustCompile(`^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$`)
	integerGrammar = regexp.MustCompile(`^[-+]?(0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+|[0-9][0-9_]*)$`)
)

// ParseInteger parses a whole number in the common grammar of all formats: decimal, or
// hexadecimal, octal or binary after 0x, 0o or 0b, with _ between digits. A number with a minus
// is returned in signed, any other in unsigned.
func ParseInteger(text string) (signed int64, unsigned uint64, err error) {
	if !integerGrammar.MatchString(text) {
		if isNumber(text) {
			return 0, 0, errNotInteger
		}
		return 0, 0, errNotNumber
	}
	digits := strings.TrimLeft(text, "+-")
	if leadingZero(digits) {
		return 0, 0, errZero
	}
	if text[0] == '-' {
		signed, err = strconv.ParseInt("-"+digits, 0, 64)
	} else {
		unsigned, err = strconv.ParseUint(digits, 0, 64)
	}
	return signed, unsigned, numberError(err)
}

// ParseFloat parses a float of 32 or 64 bits: a whole number in the grammar of ParseInteger, or
// a decimal fraction, with _ between digits. It refuses a whole number that the type cannot
// hold exactly, and a number other than zero that would become zero.
func ParseFloat(text string, bits int) (float64, error) {
	if integerGrammar.MatchString(text) {
		return wholeFloat(text, bits)
	}
	plain, ok := withoutUnderscores(text)
	if !ok || !floatGrammar.MatchString(plain) {
		if isNotFinite(text) {
			return 0, errNotFinite
		}
		return 0, errNotNumber
	}
	digits := strings.TrimLeft(plain, "+-")
	if leadingZero(digits) {
		return 0, errZero
	}
	f, err := strconv.ParseFloat(plain, bits)
	if err == nil && f == 0 && strings.ContainsAny(mantissa(digits), "123456789") {
		err = strconv.ErrRange
	}
	return f, numberError(err)
}

// wholeFloat returns the whole number text as a float that holds it exactly.
func wholeFloat(text string, bits int) (float64, error) {
	signed, unsigned, err := ParseInteger(text)
	if errors.Is(err, errRange) {
		return largeFloat(text, bits)
	}
	if err != nil {
		return 0, err
	}
	f := float64(unsigned)
	exact := f < 1<<64 && uint64(f) == unsigned
	if text[0] == '-' {
		f = float64(signed)
		exact = int64(f) == signed
	}
	if !exact || bits == 32 && float64(float32(f)) != f {
		return 0, errNotItself
	}
	return f, nil
}

// largeFloat is wholeFloat for a number that exceeds 64 bits.
func largeFloat(text string, bits int) (float64, error) {
	const longest = 2048 // the largest float has 309 digits, and 1024 as a binary number
	if len(text) > longest {
		return 0, errRange
	}
	whole, ok := new(big.Int).SetString(text, 0)
	if !ok {
		return 0, errNotNumber
	}
	f, accuracy := new(big.Float).SetInt(whole).Float64()
	switch narrow := float64(float32(f)); {
	case math.IsInf(f, 0), bits == 32 && math.IsInf(narrow, 0):
		return 0, errRange
	case accuracy != big.Exact, bits == 32 && narrow != f:
		return 0, errNotItself
	}
	return f, nil
}

// isNumber reports whether text is a number in the grammar of ParseFloat.
func isNumber(text string) bool {
	_, err := ParseFloat(text, 64)
	return err == nil || errors.Is(err, errRange) || errors.Is(err, errZero) || errors.Is(err, errNotItself)
}

func leadingZero(digits string) bool {
	return len(digits) > 1 && digits[0] == '0' && (digits[1] == '_' || digits[1] >= '0' && digits[1] <= '9')
}

// mantissa returns the part before the exponent.
func mantissa(digits string) string {
	if i := strings.IndexAny(digits, "eE"); i >= 0 {
		return digits[:i]
	}
	return digits
}

// withoutUnderscores removes each _ from text. ok reports that all were between digits.
func withoutUnderscores(text string) (plain string, ok bool) {
	for i := range len(text) {
		if text[i] == '_' && (i == 0 || i == len(text)-1 || !isDigit(text[i-1]) || !isDigit(text[i+1])) {
			return "", false
		}
	}
	return strings.ReplaceAll(text, "_", ""), true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isNotFinite reports whether text is infinity or not-a-number in some format.
func isNotFinite(text string) bool {
	switch strings.ToLower(strings.TrimPrefix(strings.TrimLeft(text, "+-"), ".")) {
	case "nan", "inf", "infinity":
		return true
	}
	return false
}

func numberError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, strconv.ErrRange):
		return errRange
	}
	return errNotNumber
}

// formatFloat returns f as the text of a Float that is not also an Integer.
func formatFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 0):
		return "inf"
	}
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}
