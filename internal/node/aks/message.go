package aks

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// fault is an error as Azure writes it: in an envelope or not, with others in it.
type fault struct {
	Code    string  `json:"code"`
	Subcode string  `json:"subcode"`
	Message string  `json:"message"`
	Details []fault `json:"details"`
	// Inner is where compute names the reason.
	Inner struct {
		Code     string `json:"code"`
		Internal string `json:"internalErrorCode"`
	} `json:"innererror"`
}

// embeddedCode finds codes in the text of errors that were passed on as text.
var embeddedCode = regexp.MustCompile(`(?:Code=\\*"?|\\*"code\\*":\s*\\*"|SubCode: |Code: )([A-Za-z_]{3,60})`)

// codeShape is what a code looks like; others are none.
var codeShape = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.]{1,79}$`)

// deepest is how deep details are read, mostCodes how many codes.
const (
	deepest   = 4
	mostCodes = 12
)

// reading collects what an answer says.
type reading struct {
	codes, texts []string
}

// parse finds the codes of an answer, the outermost first, and its words. outer is the code
// that the client found.
func parse(outer string, body []byte) (codes []string, words string) {
	var envelope struct {
		fault
		Error json.RawMessage `json:"error"`
	}
	var r reading
	r.code(outer)
	if json.Unmarshal(body, &envelope) != nil {
		return r.codes, string(body)
	}
	top := envelope.fault
	if len(envelope.Error) > 0 {
		var inside fault
		if json.Unmarshal(envelope.Error, &inside) == nil {
			top = inside
		}
	}
	r.walk(top, 0)
	return r.codes, strings.Join(r.texts, ": ")
}

// code adds one that is new.
func (r *reading) code(code string) {
	known := slices.ContainsFunc(r.codes, func(have string) bool { return strings.EqualFold(have, code) })
	if codeShape.MatchString(code) && !known && len(r.codes) < mostCodes {
		r.codes = append(r.codes, code)
	}
}

// walk reads a fault and those in it.
func (r *reading) walk(f fault, depth int) {
	for _, code := range []string{f.Code, f.Subcode, f.Inner.Code, f.Inner.Internal} {
		r.code(code)
	}
	if said := strings.TrimRight(f.Message, ". \n"); said != "" && !slices.ContainsFunc(r.texts, func(t string) bool { return strings.Contains(t, said) }) {
		r.texts = append(r.texts, said)
	}
	for _, match := range embeddedCode.FindAllStringSubmatch(f.Message, mostCodes) {
		r.code(match[1])
	}
	if depth < deepest {
		for _, d := range f.Details {
			r.walk(d, depth+1)
		}
	}
}

// entra is what the authority answered, without what differs from call to call.
func entra(e *azidentity.AuthenticationFailedError) string {
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	data, err := runtime.Payload(e.RawResponse)
	if err != nil || json.Unmarshal(data, &body) != nil || body.Description == "" {
		return fmt.Sprintf("Microsoft Entra answered %d %s", e.RawResponse.StatusCode, http.StatusText(e.RawResponse.StatusCode))
	}
	first, _, _ := strings.Cut(body.Description, "\n")
	return "Microsoft Entra: " + first
}

// What a message says besides its news: numbers of requests, clocks, addresses of pages, lists.
var (
	noiseIDs        = regexp.MustCompile(`(?i)\s*(the )?(client |ms )?(request|correlation|activity|tracking|trace|operation) ?id( is)?[:=]?\s*'?"?[0-9a-f]{8}-[0-9a-f-]{27}"?'?[.,;]?`)
	noiseStamps     = regexp.MustCompile(`(?i)\s*timestamp[:=]\s*\S+( \S*Z)?`)
	noiseTemplates  = regexp.MustCompile(`(?i)\bthe template deployment '[0-9a-f-]{36}'`)
	noiseWaits      = regexp.MustCompile(`(?i)\s*(please )?(try again|retry) (after|in) '?\d+'? ?(seconds|minutes)\.?`)
	noiseTimes      = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?`)
	noiseSizes      = regexp.MustCompile(`(?i)\s*(the available vm sizes are|available (vm )?sizes:?)\s*'?[A-Za-z0-9_,' -]+'?\.?`)
	noiseLinks      = regexp.MustCompile(`(?i)[,;]?\s*(for more (details|information)[^.:]*|more information[^.:]*|see|details:?|read more[^.]*|learn more[^.]*|submit a request[^.]*|please (see|read|follow|visit|go)[^.]*?|if you want to increase[^.]*?)[,: ]+(at |to |visit |)*(https?://|aka\.ms/)[^\s"']*( for (more )?(details|information))?( by specifying parameters listed in the .Details. section for deployment to succeed)?\.?`)
	noiseOperations = regexp.MustCompile(`(?i)\boperation [0-9a-f]{8}-[0-9a-f-]{27}`)
	noiseURLs       = regexp.MustCompile(`https?://[^\s"',]+`)
	noiseStreams    = regexp.MustCompile(`(?i) stream ID \d+;`)
	noisePorts      = regexp.MustCompile(`\b(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]):\d+->`)
)

// quiet is a message without what differs from call to call.
func quiet(s string) string {
	s = noiseIDs.ReplaceAllString(s, "")
	s = noiseStamps.ReplaceAllString(s, "")
	s = noiseTemplates.ReplaceAllString(s, "The template deployment")
	s = noiseWaits.ReplaceAllString(s, "")
	s = noiseTimes.ReplaceAllString(s, "some time")
	s = noiseSizes.ReplaceAllString(s, "")
	s = noiseLinks.ReplaceAllString(s, "")
	s = noiseOperations.ReplaceAllString(s, "operation")
	s = noiseURLs.ReplaceAllString(s, "")
	s = noiseStreams.ReplaceAllString(s, "")
	s = noisePorts.ReplaceAllString(s, "")
	return s
}

// longestMessage keeps conditions readable.
const longestMessage = 600

// said is Azure's message for people: one line, with nothing that changes from call to call.
func (a answer) said() string {
	s := strings.ToValidUTF8(a.text, "")
	if len(s) > 16*longestMessage {
		s = strings.ToValidUTF8(s[:16*longestMessage], "")
	}
	s = strings.Join(strings.FieldsFunc(quiet(s), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	s = strings.TrimRight(strings.TrimSuffix(strings.TrimRight(strings.TrimSpace(s), ".,;: "), " Details"), ".,;: ")
	if len(s) > longestMessage {
		s = strings.ToValidUTF8(s[:longestMessage], "") + " …"
	}
	if s == "" || strings.HasPrefix(s, "<") { // a gateway's page
		return a.silent()
	}
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
}

// silent is the message for an answer without words.
func (a answer) silent() string {
	switch {
	case a.code() != "":
		return fmt.Sprintf("Azure answered %d, %s", a.status, a.code())
	case a.status != 0:
		return strings.TrimSpace(fmt.Sprintf("Azure answered %d %s", a.status, http.StatusText(a.status)))
	default:
		return "Azure could not be asked"
	}
}
