package main

import "os"

// endSignals end the service in good order; Go turns the console's and the
// session's end into the first.
var endSignals = []os.Signal{os.Interrupt}
