package oracle

// KeepAdded makes the room for added machines so small, in bytes.
func (o *Oracle) KeepAdded(room int64) { o.resolve.added.machines = newLRU[string, *machine](room) }
