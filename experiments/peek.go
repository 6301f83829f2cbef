package experiments

import "encoding/json"

// StoredMachine says which input the machine of a stored request is, and which changes, as path=value, it is to get. That is
// much less work than Restore; "" is what cannot be read.
func StoredMachine(request string) (hash string, set []string) {
	var s stored
	if json.Unmarshal([]byte(request), &s) != nil {
		return "", nil
	}
	if s.Unset {
		set = s.Set
	}
	return s.Machine, set
}
