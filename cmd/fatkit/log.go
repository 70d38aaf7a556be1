package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/pflag"
)

// logFlags are the flags that say what is logged and how.
type logFlags struct {
	format  string
	quiet   bool
	verbose bool
}

func (f *logFlags) register(fs *pflag.FlagSet) {
	f.format = "text"
	fs.Var(&choiceValue{word: &f.format, choices: []string{"text", "json"}}, "log-format", "form of the log on standard error")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "log errors only, print nothing that was not asked for")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "log more: clients that come and go, new generations")
}

// logger returns the logger that the flags ask for.
func (f *logFlags) logger(out io.Writer) (*slog.Logger, error) {
	if f.quiet && f.verbose {
		return nil, usageError("--quiet and --verbose contradict each other")
	}
	level := slog.LevelWarn
	switch {
	case f.quiet:
		level = slog.LevelError
	case f.verbose:
		level = slog.LevelInfo
	}
	if f.format == "json" {
		return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level})), nil
	}
	return slog.New(&textHandler{out: out, level: level, mu: new(sync.Mutex)}), nil
}

// textHandler writes records for people: "fatkit: warning: message (key=value)".
// It leaves the time out; who needs it has a journal or --log-format json.
type textHandler struct {
	out    io.Writer
	level  slog.Level
	mu     *sync.Mutex // guards out; shared by the handlers derived from this one
	attrs  []slog.Attr
	prefix string // of keys, from groups
}

var _ slog.Handler = (*textHandler)(nil)

func (h *textHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)
	return &next
}

func (h *textHandler) WithGroup(name string) slog.Handler {
	next := *h
	next.prefix += name + "."
	return &next
}

func (h *textHandler) Handle(_ context.Context, r slog.Record) error {
	var b bytes.Buffer
	b.WriteString("fatkit: ")
	switch {
	case r.Level >= slog.LevelError:
		b.WriteString("error: ")
	case r.Level >= slog.LevelWarn:
		b.WriteString("warning: ")
	}
	b.WriteString(printable(oneLine(r.Message)))
	open := " ("
	add := func(a slog.Attr) bool {
		if text := oneLine(a.Value.Resolve().String()); text != "" {
			fmt.Fprintf(&b, "%s%s%s=%s", open, h.prefix, a.Key, quoteSpaces(text))
			open = " "
		}
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	if open == " " {
		b.WriteByte(')')
	}
	b.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.out.Write(b.Bytes())
	return err
}

// quoteSpaces quotes a value in which a reader could not see its end.
func quoteSpaces(s string) string {
	if strings.ContainsAny(s, " \"=()") {
		return strconv.Quote(s)
	}
	return printable(s)
}
