package transport

func (jsonCodec) newElements() elements { return &jsonElements{} }

// jsonElements reads a message in one pass.
type jsonElements struct {
	r     jsonReader
	depth int
	over  bool // the list has ended
}

func (e *jsonElements) close() { e.r.forget() }

func (e *jsonElements) open(data []byte, depth, spare int) error {
	e.depth, e.over = depth, false
	if err := e.r.begin(data, 1+spare); err != nil {
		return err
	}
	if e.r.tokens.PeekKind() != '[' {
		return errNoList
	}
	_, err := e.r.tokens.ReadToken()
	return err
}

func (e *jsonElements) more() (bool, error) {
	if e.over {
		return false, nil
	}
	if e.r.tokens.PeekKind() != ']' {
		return true, nil
	}
	if _, err := e.r.tokens.ReadToken(); err != nil {
		return false, failed(err)
	}
	e.over = true
	return false, e.r.ended()
}

func (e *jsonElements) value() (any, error)     { return e.r.value(e.depth) }
func (e *jsonElements) integer() (int64, error) { return as[int64](e.value()) }
func (e *jsonElements) text() (string, error)   { return as[string](e.value()) }

func (e *jsonElements) skip() error {
	_, _, _, err := e.r.skim(e.depth)
	return err
}

func (e *jsonElements) raw() (rawElement, error) {
	encoded, empty, odd, err := e.r.skim(e.depth)
	if err == nil && odd {
		encoded, err = again(JSON, encoded, e.depth)
	}
	return rawElement{encoded: encoded, empty: empty}, err
}
