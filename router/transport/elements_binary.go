package transport

func (c *binaryCodec) newElements() elements { return &binaryElements{c: c} }

// binaryElements reads a message in one pass.
type binaryElements struct {
	c     *binaryCodec
	r     reader
	depth int
	left  int // elements that follow; -1 is up to an end mark
}

func (e *binaryElements) close() { e.r = reader{} }

func (e *binaryElements) open(data []byte, depth, spare int) error {
	e.r, e.depth = reader{data: data, values: 1 + spare}, depth
	h, err := e.c.f.head(&e.r)
	if err == nil && h.kind != list {
		err = errNoList
	}
	e.left = h.n
	return err
}

func (e *binaryElements) more() (bool, error) {
	if e.left < 0 {
		at := e.r.pos
		h, err := e.c.f.head(&e.r)
		if err != nil {
			return false, err
		}
		if h.kind != breakEnd {
			e.r.pos = at
			return true, nil
		}
		e.left = 0
	}
	if e.left == 0 && e.r.pos != len(e.r.data) {
		return false, errTrail
	}
	return e.left > 0, nil
}

func (e *binaryElements) value() (any, error) {
	if e.left > 0 {
		e.left--
	}
	v, isBreak, err := e.c.value(&e.r, e.depth)
	if isBreak {
		err = errShort
	}
	return v, err
}

// integer and text build nothing but their result, unless the element is
// annotated or in chunks.
func (e *binaryElements) integer() (int64, error) {
	at := e.r.pos
	if h, err := e.c.f.head(&e.r); err == nil && h.kind == integer {
		e.took()
		return int64(h.bits), nil
	}
	e.r.pos = at
	return as[int64](e.value())
}

func (e *binaryElements) text() (string, error) {
	at := e.r.pos
	if h, err := e.c.f.head(&e.r); err == nil && h.kind == text {
		e.took()
		return e.c.text(&e.r, h.n)
	}
	e.r.pos = at
	return as[string](e.value())
}

// took counts an element that value did not read.
func (e *binaryElements) took() {
	e.r.values++
	if e.left > 0 {
		e.left--
	}
}

func (e *binaryElements) skip() error {
	e.r.skim = true
	_, err := e.value()
	e.r.skim = false
	return err
}

func (e *binaryElements) raw() (rawElement, error) {
	depth := e.depth
	e.r.skim, e.r.foreign = true, ""
	err := e.untag()
	at := e.r.pos
	var empty any
	if err == nil {
		empty, err = e.value()
	}
	e.depth, e.r.skim = depth, false
	return rawElement{e.r.data[at:e.r.pos:len(e.r.data)], empty, e.r.foreign}, err
}

// untag skips the tags of an element: an argument list that is tagged is none to a
// receiver, which would take it for a breach of the protocol.
func (e *binaryElements) untag() error {
	for {
		at := e.r.pos
		if at < len(e.r.data) && e.r.data[at]>>5 != cborTag { // MessagePack has none
			return nil
		}
		h, err := e.c.f.head(&e.r)
		if err != nil {
			return err
		}
		if _, isNumber := e.c.taggedNumber(&e.r, h.bits); h.kind != tag || isNumber {
			e.r.pos = at
			return nil
		}
		e.r.values++
		if e.depth--; e.depth < 0 {
			return errDepth
		}
	}
}
