package found

// guarded are folders of the home folder that the system lets a program into only after
// it has asked the person, which nobody would understand here.
func guarded() []string {
	return []string{"Desktop", "Documents", "Downloads", "Library", "Movies", "Music", "Pictures"}
}
