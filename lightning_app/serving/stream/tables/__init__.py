"""Tables of a stream in the database of the journal."""
