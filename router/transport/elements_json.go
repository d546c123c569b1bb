package transport

func (jsonCodec) newElements() elements { return &jsonElements{} }

// jsonElements reads a message in one pass.
type jsonElements struct {
	r     jsonReader
	depth int
	begun bool // an element was read
	over  bool // the list has ended
}

func (e *jsonElements) close() { e.r = jsonReader{} }

func (e *jsonElements) open(data []byte, depth, spare int) error {
	*e = jsonElements{r: jsonReader{data: data, values: 1 + spare}, depth: depth}
	if e.r.next() != '[' {
		return errNoList
	}
	e.r.pos++
	return nil
}

func (e *jsonElements) more() (bool, error) {
	if e.over {
		return false, nil
	}
	switch c := e.r.next(); {
	case c == ']':
		e.r.pos++
		e.over = true
		return false, e.r.ended()
	case e.begun && c != ',':
		return false, e.r.unexpected()
	}
	return true, nil
}

// begin goes to the next element.
func (e *jsonElements) begin() error {
	c := e.r.next()
	if e.over || e.begun && c != ',' {
		return e.r.unexpected()
	}
	if e.begun {
		e.r.pos++
		e.r.next()
	}
	e.begun = true
	return nil
}

func (e *jsonElements) value() (any, error) {
	if err := e.begin(); err != nil {
		return nil, err
	}
	return e.r.value(e.depth)
}

func (e *jsonElements) integer() (int64, error) { return as[int64](e.value()) }
func (e *jsonElements) text() (string, error)   { return as[string](e.value()) }

func (e *jsonElements) skip() error {
	e.r.skim = true
	_, err := e.value()
	e.r.skim = false
	return err
}

func (e *jsonElements) raw() (rawElement, error) {
	if err := e.begin(); err != nil {
		return rawElement{}, err
	}
	at := e.r.pos
	e.r.skim, e.r.odd = true, false
	empty, err := e.r.value(e.depth)
	e.r.skim = false
	encoded := e.r.data[at:e.r.pos:e.r.pos]
	if err == nil && e.r.odd {
		encoded, err = again(JSON, encoded, e.depth)
	}
	return rawElement{encoded: encoded, empty: empty}, err
}
