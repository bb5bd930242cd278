package registry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"
)

// BridgeLogs sends what distribution logs (through logrus's one logger for the
// process) to our log. Call it once, in main.
func BridgeLogs(ctx context.Context, log *slog.Logger) {
	logrus.SetOutput(io.Discard)
	logrus.SetLevel(logrus.WarnLevel)
	if log.Enabled(ctx, slog.LevelDebug) {
		logrus.SetLevel(logrus.DebugLevel)
	}
	logrus.AddHook(bridge{ctx, log})
}

// bridge is a hook that passes entries on; entries without a context get that of main.
type bridge struct {
	ctx context.Context
	log *slog.Logger
}

// Levels asks for all entries.
func (bridge) Levels() []logrus.Level { return logrus.AllLevels }

// Fire passes one entry on, its fields sorted.
func (b bridge) Fire(e *logrus.Entry) error {
	level := slog.LevelInfo
	switch e.Level {
	case logrus.PanicLevel, logrus.FatalLevel, logrus.ErrorLevel:
		level = slog.LevelError
	case logrus.WarnLevel:
		level = slog.LevelWarn
	case logrus.DebugLevel, logrus.TraceLevel:
		level = slog.LevelDebug
	case logrus.InfoLevel:
	}
	if isAnswer(e) {
		level = slog.LevelDebug
	}
	names := make([]string, 0, len(e.Data))
	for name := range e.Data {
		names = append(names, name)
	}
	slices.Sort(names)
	attrs := []slog.Attr{slog.String("from", "distribution")}
	for _, name := range names {
		attrs = append(attrs, slog.Any(name, e.Data[name]))
	}
	ctx := e.Context
	if ctx == nil {
		ctx = b.ctx
	}
	b.log.LogAttrs(ctx, level, e.Message, attrs...)
	return nil
}

// isAnswer tells an answer that clients count on from a fault: that something is
// not there yet (asked before each push), and the challenge (asked before each
// password). distribution logs both as errors.
func isAnswer(e *logrus.Entry) bool {
	if strings.HasPrefix(e.Message, "error authorizing context: basic authentication challenge") {
		return true
	}
	switch fmt.Sprint(e.Data["err.code"]) {
	case "blob unknown", "manifest unknown", "name unknown", "unauthorized":
		return true
	default:
		return false
	}
}
