package nacre

// MemoryInUse is the memory that connections of this config share.
func (c *Config) MemoryInUse() Memory { return c.memory() }

// Memories counts the configs that have a memory of their own.
func Memories() (n int) {
	memories.Range(func(any, any) bool { n++; return true })
	return n
}
