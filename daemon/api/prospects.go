package api

// Describe asks what an address is, as far as it is typed. Nobody else is asked for that.
type Describe struct {
	URL  string            `json:"url"`
	With map[string]string `json:"with,omitempty"` // by Field.Name: what the URL is to say instead, "" for nothing
}

// Description is what an address is.
type Description struct {
	URL      string   `json:"url,omitempty"`       // canonical, without secret; "" while it names no drive
	Kind     string   `json:"kind,omitempty"`      // also of a URL that is not whole yet; "" if it cannot be told
	Secret   string   `json:"secret,omitempty"`    // the password or token that was in it
	Name     string   `json:"name,omitempty"`      // one for the drive that no drive has
	Dir      string   `json:"dir,omitempty"`       // where a drive of that name is mounted; "" with Letters
	Letters  []string `json:"letters,omitempty"`   // where drives get letters: those that are free, the next one first
	ReadOnly bool     `json:"read_only,omitempty"` // nothing can be changed through it, whoever signs in
	SignIn   *SignIn  `json:"sign_in,omitempty"`   // nil: a password or token is of no use
	Fields   []Field  `json:"fields,omitempty"`    // what else the URL may say
	Problem  *Problem `json:"problem,omitempty"`   // why it names no drive, or none that can be opened
}

// SignIn is what a person signs in with, if the remote wants that.
type SignIn struct {
	User   *Field `json:"user,omitempty"` // one of the URL
	Secret Field  `json:"secret"`
	Page   string `json:"page,omitempty"` // https address at which a person makes a token in the browser
}

// FieldKind is what can be put into a field.
type FieldKind string

// The kinds of fields.
const (
	FieldText   FieldKind = "text"
	FieldSecret FieldKind = "secret"
	FieldBool   FieldKind = "bool" // "true" or ""
	FieldChoice FieldKind = "choice"
)

// Field is one thing that a person may say. Its texts are English.
type Field struct {
	Name     string    `json:"name"`
	Kind     FieldKind `json:"kind"`
	Label    string    `json:"label"`
	Help     string    `json:"help,omitempty"`
	Default  string    `json:"default,omitempty"` // what holds if nothing is said, in words
	Required bool      `json:"required,omitempty"`
	Choices  []string  `json:"choices,omitempty"`
	Value    string    `json:"value,omitempty"`
}

// Try asks what is at an address. It makes no drive and keeps nothing.
type Try struct {
	URL    string `json:"url"` // a password in it counts, if there is no Secret
	Secret string `json:"secret,omitempty"`
}

// Tried is what is there.
type Tried struct {
	Entries  []TriedEntry `json:"entries"` // the first ones, folders first, by name
	Folders  int          `json:"folders"`
	Files    int          `json:"files"`          // all that is no folder
	More     bool         `json:"more,omitempty"` // there is more than was counted
	Revision string       `json:"revision,omitempty"`
	Writable bool         `json:"writable"`
}

// TriedEntry is one name.
type TriedEntry struct {
	Name   string `json:"name"`
	Folder bool   `json:"folder,omitempty"`
	Size   int64  `json:"size"` // bytes; -1: not known
}

// Found is something on this computer that may become a drive. Secrets of it stay where
// they are.
type Found struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	URL  string `json:"url"`
	From string `json:"from"`          // the file that tells of it
	Gap  int    `json:"gap,omitempty"` // the byte of URL before which something has to be put in, such as the bucket; 0: nothing
}
