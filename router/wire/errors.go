package wire

import "fmt"

// Error URIs. WAMP's own are used where one fits; the others are ours.
const (
	ErrInvalidArgument    = "wamp.error.invalid_argument"
	ErrInvalidURI         = "wamp.error.invalid_uri"
	ErrNoSuchProcedure    = "wamp.error.no_such_procedure"
	ErrNoSuchRegistration = "wamp.error.no_such_registration"
	ErrNoSuchSubscription = "wamp.error.no_such_subscription"
	ErrNoSuchRealm        = "wamp.error.no_such_realm"
	ErrAlreadyExists      = "wamp.error.procedure_already_exists"
	ErrNotAuthorized      = "wamp.error.not_authorized"
	ErrAuthorization      = "wamp.error.authorization_failed"
	ErrAuthentication     = "wamp.error.authentication_failed"
	ErrNoAuthMethod       = "wamp.error.no_auth_method"
	ErrCanceled           = "wamp.error.canceled"
	ErrTimeout            = "wamp.error.timeout"
	ErrNetworkFailure     = "wamp.error.network_failure"
	ErrProtocolViolation  = "wamp.error.protocol_violation"
	ErrNotSupported       = "wamp.error.feature_not_supported"

	// ErrApplication stands for an error that a callee gave a name it may not
	// use (`wamp.*`).
	ErrApplication = Namespace + "error.application"
	// ErrUnavailable: the hardware or service behind a capability is absent.
	ErrUnavailable = Namespace + "error.unavailable"
	// ErrExecFailed: a registered command ended with a status other than 0.
	ErrExecFailed = Namespace + "error.exec_failed"
	// ErrBusy: the callee takes no more calls now.
	ErrBusy = Namespace + "error.busy"
	// ErrCalleeLost: the callee went away in the middle of the call.
	ErrCalleeLost = Namespace + "error.callee_lost"
	// ErrSlowConsumer: the session did not read what it had asked for.
	ErrSlowConsumer = Namespace + "error.slow_consumer"
	// ErrLimit: the session went over one of the router's limits.
	ErrLimit = Namespace + "error.limit"
	// ErrPairing: nobody was paired, because too many wrong codes were tried.
	ErrPairing = Namespace + "error.pairing_locked"
	// ErrRights: the session of a device has ended because it may do less now. What
	// it still may, it can ask for again.
	ErrRights = Namespace + "error.rights"
	// ErrLost is never sent: it names a connection that ended without a word.
	ErrLost = Namespace + "error.connection_lost"
)

// Error is a WAMP error (ERROR, ABORT or GOODBYE) as a Go error.
type Error struct {
	URI    string
	Args   []any
	Kwargs map[string]any
}

// Errorf makes an Error whose only argument is a sentence.
func Errorf(uri, format string, a ...any) *Error {
	return &Error{URI: uri, Args: []any{fmt.Sprintf(format, a...)}}
}

// LimitKey is the name of the keyword argument of an error, and of the detail
// of an ABORT or GOODBYE, that names the limit it is about.
const LimitKey = "limit"

// Over makes the Error of what went over the limit of that name.
func Over(uri, limit, format string, a ...any) *Error {
	e := Errorf(uri, format, a...)
	e.Kwargs = map[string]any{LimitKey: limit}
	return e
}

// Limit is the name of the limit that e is about, "" if it is about none.
func (e *Error) Limit() string {
	name, _ := e.Kwargs[LimitKey].(string)
	return name
}

// Details are those of the ABORT or GOODBYE that says e.
func (e *Error) Details() map[string]any {
	details := map[string]any{"message": e.Message()}
	if limit := e.Limit(); limit != "" {
		details[LimitKey] = limit
	}
	return details
}

// Message is the sentence the peer sent, else what the URI means, else the
// URI. It is the peer's text: not yet fit for a terminal.
func (e *Error) Message() string {
	if len(e.Args) > 0 {
		if s, ok := e.Args[0].(string); ok && s != "" {
			return s
		}
	}
	if s, ok := sentences[e.URI]; ok {
		return s
	}
	return e.URI
}

// Error is Message.
func (e *Error) Error() string { return e.Message() }

// Is makes errors.Is compare by URI.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.URI == e.URI
}

// sentences says what an error means whose sender gave no words: nexus sends
// its own errors bare.
var sentences = map[string]string{
	ErrInvalidArgument:           "the callee refused an argument",
	ErrInvalidURI:                "not a URI this router accepts",
	ErrNoSuchProcedure:           "no such procedure",
	ErrNoSuchRegistration:        "no such registration",
	ErrNoSuchSubscription:        "no such subscription",
	ErrNoSuchRealm:               "the router has no such realm",
	ErrAlreadyExists:             "this procedure is registered already",
	ErrNotAuthorized:             "not authorised",
	ErrAuthorization:             "not authorised",
	ErrAuthentication:            "authentication failed",
	ErrNoAuthMethod:              "no authentication method in common",
	ErrCanceled:                  "the call was canceled",
	ErrTimeout:                   "the call took too long",
	ErrProtocolViolation:         "the peer broke the WAMP protocol",
	ErrNotSupported:              "not supported here",
	ErrNetworkFailure:            "the network failed",
	ErrApplication:               "the callee failed",
	ErrUnavailable:               "what this needs is not there",
	ErrExecFailed:                "the command behind this failed",
	ErrBusy:                      "busy with other calls",
	ErrLimit:                     "over a limit",
	ErrRights:                    "what this device may do has become less",
	ErrPairing:                   "too many wrong pairing codes",
	ErrCalleeLost:                "the callee went away during the call",
	ErrSlowConsumer:              "cut off for reading too slowly",
	ErrLost:                      "the connection was lost",
	"wamp.close.normal":          "the router closed the session",
	"wamp.close.system_shutdown": "the router is going down",
	"wamp.close.close_realm":     "the router closed its realm",
	"wamp.close.goodbye_and_out": "the router closed the session",
	"wamp.error.system_shutdown": "the router is going down",
	"wamp.error.no_such_session": "no such session",
	"wamp.error.no_such_role":    "the peer announced no role",
}
