package providers

// Form is what a provider tells of the drives that a URL of its kind names, for
// whoever asks a person for one. The texts are English; a face that has them in
// other languages finds those by the kind and the names of fields.
type Form struct {
	ReadOnly bool    // nothing can be changed through such a drive, whoever signs in
	SignIn   *SignIn // nil: a password or token is of no use
	Fields   []Field // what else the URL may say
}

// SignIn is what a person signs in with. That it is there does not mean that the
// remote wants it.
type SignIn struct {
	User   *Field // nil: it takes none
	Secret Field
	Page   string // https address at which a person makes a token in the browser; "" if there is none that is known
}

// FieldKind is what can be put into a Field.
type FieldKind string

// The kinds of fields.
const (
	FieldText   FieldKind = "text"
	FieldSecret FieldKind = "secret" // not to be shown
	FieldBool   FieldKind = "bool"   // "true" or ""
	FieldChoice FieldKind = "choice" // one of Choices
)

// Field is one thing that a person may say.
type Field struct {
	Name     string // unique in its form, stable
	Kind     FieldKind
	Label    string
	Help     string // a sentence, or ""
	Default  string // what holds if nothing is said, in words; "" if that needs none
	Required bool
	Choices  []string
	Value    string // what the URL says

	// Set puts a value into a URL, "" for none; nil of a secret, which no URL
	// has. Whether the URL is good then, ParseURL of its text tells.
	Set func(u *URL, value string)
}
