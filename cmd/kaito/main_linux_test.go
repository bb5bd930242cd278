package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asKaito makes this test program the program under test.
const asKaito = "KAITO_TEST_AS_KAITO"

func TestMain(m *testing.M) {
	if os.Getenv(asKaito) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// pty is a real pseudo terminal with our program in it.
type pty struct {
	t      *testing.T
	keys   *os.File
	screen chan []byte
	seen   bytes.Buffer
	cmd    *exec.Cmd
}

func start(t *testing.T, args ...string) *pty {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	n, err := unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	far, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(far.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	p := &pty{t: t, keys: keys, screen: make(chan []byte, 1024)}
	p.cmd = exec.CommandContext(t.Context(), os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), asKaito+"=1", "TERM=xterm")
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = far, far, far
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = far.Close()
	go func() {
		defer close(p.screen)
		for {
			b := make([]byte, 4096)
			n, err := keys.Read(b)
			if n > 0 {
				p.screen <- b[:n]
			}
			if err != nil {
				return // the program has ended
			}
		}
	}()
	return p
}

// sees waits until the screen has shown the text since the last call.
func (p *pty) sees(text string) {
	p.t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		if _, after, found := bytes.Cut(p.seen.Bytes(), []byte(text)); found {
			rest := bytes.Clone(after)
			p.seen.Reset()
			p.seen.Write(rest)
			return
		}
		select {
		case b, open := <-p.screen:
			if !open {
				p.t.Fatalf("the program ended before it showed %q; it showed %q", text, &p.seen)
			}
			p.seen.Write(b)
		case <-limit.C:
			p.t.Fatalf("the screen never showed %q, but %q", text, &p.seen)
		}
	}
}

func (p *pty) types(keys string) {
	p.t.Helper()
	if _, err := io.WriteString(p.keys, keys); err != nil {
		p.t.Fatal(err)
	}
}

// ends waits for the end and returns the exit code.
func (p *pty) ends() int {
	p.t.Helper()
	for b := range p.screen {
		p.seen.Write(b)
	}
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// endless answers Thai questions in one word, and all others without an end.
func endless(t *testing.T) (url string, gone chan struct{}) {
	t.Helper()
	gone = make(chan struct{}, 16)
	part := func(w io.Writer, text, finish string) {
		_, _ = fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":%q},\"finish_reason\":%s}]}\n\n", text, finish)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		messages := strings.Split(string(raw), `"role":"user"`)
		if last := messages[len(messages)-1]; strings.Contains(last, "สวัสดี") || strings.Contains(last, `one\ntwo`) {
			part(w, "heard: ", "null")
			part(w, strings.Split(strings.Split(last, `"content":"`)[1], `"`)[0], "null")
			part(w, "", `"stop"`)
			_, _ = io.WriteString(w, "data: [DONE]\n\n")
			return
		}
		part(w, "without end", "null")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		gone <- struct{}{}
	}))
	t.Cleanup(server.Close)
	return server.URL, gone
}

func TestAConversationInATerminal(t *testing.T) {
	t.Parallel()
	url, gone := endless(t)
	p := start(t, "chat", "--url", url)
	p.sees("Ctrl-D ends the conversation")
	p.sees(">>> ")
	// Thai has marks of no width: the cursor keys and Backspace must count characters, not columns.
	p.types("สวัสดีXX\x7f\x7fครับ\x1b[D\x1b[D\x1b[D\x1b[D-\r")
	p.sees("heard: สวัสดี-ครับ")
	p.sees(">>> ")
	p.types("count for ever\r")
	p.sees("without end")
	p.types("\x03") // stops the answer only
	p.sees("(stopped)")
	<-gone // the server saw that its client went away
	p.sees(">>> ")
	p.types("\x1b[200~one\rtwo\x1b[201~\r") // a text that is pasted is one question
	p.sees(`heard: one\ntwo`)
	p.sees(">>> ")
	p.types("/nothing\r")
	p.sees("There is no command /nothing")
	p.sees(">>> ")
	p.types("\x03")
	if code := p.ends(); code != 0 {
		t.Errorf("Ctrl-C at the prompt ended with %d", code)
	}
}

func TestCtrlDEndsAConversation(t *testing.T) {
	t.Parallel()
	url, _ := endless(t)
	p := start(t, "chat", "--url", url)
	p.sees(">>> ")
	p.types("\x04")
	if code := p.ends(); code != 0 {
		t.Errorf("Ctrl-D ended with %d", code)
	}
}

func TestCtrlCEndsWhatIsNoConversation(t *testing.T) {
	t.Parallel()
	url, gone := endless(t)
	p := start(t, "chat", "--url", url, "--message", "count for ever")
	p.sees("without end")
	p.types("\x03")
	if code := p.ends(); code != 130 || !strings.Contains(p.seen.String(), "interrupted") {
		t.Errorf("Ctrl-C ended with %d: %q", code, &p.seen)
	}
	<-gone
}

func TestOneQuestionThroughAPipe(t *testing.T) {
	t.Parallel()
	url, _ := endless(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "chat", "--url", url)
	cmd.Env = append(os.Environ(), asKaito+"=1")
	cmd.Stdin = strings.NewReader("one\ntwo\n")
	out, err := cmd.Output()
	if err != nil || string(out) != "heard: one\\ntwo\n" {
		t.Errorf("printed %q: %v", out, err)
	}
}
